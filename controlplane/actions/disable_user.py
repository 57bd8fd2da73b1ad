from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from audit.operations import Operation
from audit.record import Actor, record
from controlplane.access import owners
from controlplane.actions.base import require_reason, target_of
from controlplane.actions.end_session import end_all
from controlplane.errors import NotAllowed
from controlplane.models import ManagementToken, User, UserSession
from controlplane.permissions import Permission, require


@transaction.atomic
def disable_user(user: User, *, actor: Actor, reason: str) -> User:
    """Take everything from a person at once: sign-in, sessions, access and refresh tokens, management tokens.

    Their account stays, so that the register's names go on meaning somebody. Tokens stay revoked when it is enabled
    again: somebody may have stolen them.
    """
    require(actor, Permission.USER_CHANGE)
    require_reason(reason)
    if actor.type == "user" and actor.id == str(user.pk):
        raise NotAllowed(_("Nobody disables themselves: ask another owner."))
    owners.one_at_a_time()
    user = User.objects.select_for_update().get(pk=user.pk)
    if not user.is_active:
        return user
    user.is_active = False
    user.save(update_fields=["is_active"])
    owners.check_one_is_left()
    ended = end_all(user, UserSession.End.USER_DISABLED, actor=actor)
    revoked = ManagementToken.objects.filter(user=user, revoked_at=None).update(
        revoked_at=timezone.now(), updated_at=timezone.now()
    )
    record(
        Operation.USER_DISABLED, actor=actor, target=target_of(user), reason=reason, kind="security",
        changes={"active": [True, False]}, detail={"sessions_ended": ended, "tokens_revoked": revoked},
    )  # fmt: skip
    return user
