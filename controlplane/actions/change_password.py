from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError
from django.db import transaction

from audit.operations import Operation
from audit.record import Actor, record
from controlplane.actions.base import target_of
from controlplane.actions.end_session import end_all
from controlplane.errors import Invalid, NotAllowed
from controlplane.models import User, UserSession


@transaction.atomic
def change_password(
    user: User, *, password: str, field: str = "new_password1", keep: UserSession | None = None, actor: Actor
) -> User:
    """A person's own new password; all their sessions end but for `keep`. Raises `Invalid` when it is too weak."""
    if actor.type != "user" or actor.id != str(user.pk):
        raise NotAllowed("A password is changed by its owner.")
    try:
        validate_password(password, user)
    except ValidationError as exc:
        raise Invalid(" ".join(exc.messages), field=field) from exc
    user.set_password(password)
    user.must_change_password = False
    user.save(update_fields=["password", "must_change_password"])
    ended = end_all(user, UserSession.End.PASSWORD_CHANGED, keep=keep, actor=actor)
    record(
        Operation.USER_PASSWORD_CHANGED, actor=actor, target=target_of(user), kind="security",
        detail={"sessions_ended": ended},
    )  # fmt: skip
    return user
