from django.db import transaction

from audit.operations import Operation
from audit.record import Actor, record
from controlplane import attempts
from controlplane.actions.base import require_reason, target_of
from controlplane.actions.end_session import end_all
from controlplane.models import User, UserSession
from controlplane.permissions import Permission, require


@transaction.atomic
def issue_password(user: User, *, password: str, actor: Actor, reason: str) -> User:
    """Another one-time password for a person who has lost theirs; the next sign-in asks for a new one."""
    require(actor, Permission.USER_CREATE)
    require_reason(reason)
    user = User.objects.select_for_update().get(pk=user.pk)
    user.set_password(password)
    user.must_change_password = True
    user.save(update_fields=["password", "must_change_password"])
    ended = end_all(user, UserSession.End.PASSWORD_CHANGED, actor=actor)
    attempts.unlock(user.username)
    record(
        Operation.USER_PASSWORD_CHANGED, actor=actor, target=target_of(user), kind="security", reason=reason,
        detail={"one_time": True, "sessions_ended": ended},
    )  # fmt: skip
    return user
