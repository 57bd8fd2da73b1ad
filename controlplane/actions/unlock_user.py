from django.db import transaction

from audit.operations import Operation
from audit.record import Actor, record
from controlplane import attempts
from controlplane.actions.base import target_of
from controlplane.models import User
from controlplane.permissions import Permission, require


@transaction.atomic
def unlock_user(user: User, *, actor: Actor, reason: str = "") -> User:
    """Forget a person's failed attempts, so that they need not wait: somebody else may have made them."""
    require(actor, Permission.USER_CHANGE)
    if attempts.unlock(user.username):
        record(Operation.USER_UNLOCKED, actor=actor, target=target_of(user), reason=reason, kind="security")
    return user
