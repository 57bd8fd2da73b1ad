from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError
from django.db import transaction

from audit.operations import Operation
from audit.record import Actor, record
from controlplane.actions.base import target_of
from controlplane.errors import Invalid, NotAllowed
from controlplane.models import User


@transaction.atomic
def change_password(user: User, *, password: str, actor: Actor) -> User:
    """A person's own new password. Raises `Invalid` when it is too weak."""
    if actor.type != "user" or actor.id != str(user.pk):
        raise NotAllowed("A password is changed by its owner.")
    try:
        validate_password(password, user)
    except ValidationError as exc:
        raise Invalid(" ".join(exc.messages), field="new_password1") from exc
    user.set_password(password)
    user.must_change_password = False
    user.save(update_fields=["password", "must_change_password"])
    record(Operation.USER_PASSWORD_CHANGED, actor=actor, target=target_of(user), kind="security")
    return user
