from django.db import transaction

from audit.operations import Operation
from audit.record import Actor, record
from controlplane.actions.base import target_of
from controlplane.models import User
from controlplane.permissions import Permission, require


@transaction.atomic
def enable_user(user: User, *, actor: Actor, reason: str = "") -> User:
    """Let a disabled person sign in again, with the password and the roles they had."""
    require(actor, Permission.USER_CHANGE)
    user = User.objects.select_for_update().get(pk=user.pk)
    if not user.is_active:
        user.is_active = True
        user.save(update_fields=["is_active"])
        record(
            Operation.USER_ENABLED, actor=actor, target=target_of(user), reason=reason, kind="security",
            changes={"active": [False, True]},
        )  # fmt: skip
    return user
