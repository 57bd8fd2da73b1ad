from django.db import transaction

from audit.operations import Operation
from audit.record import Actor, record
from controlplane.actions.base import target_of, validate
from controlplane.models import User
from controlplane.permissions import Permission, require


@transaction.atomic
def create_user(
    *, username: str, password: str, superuser: bool = False, email: str = "", actor: Actor, reason: str = ""
) -> User:
    """A person with a one-time password: the first sign-in asks for another one."""
    require(actor, Permission.USER_CREATE)
    user = User(username=username, email=email, is_staff=True, is_superuser=superuser, must_change_password=True)
    user.set_password(password)
    validate(user)
    user.save()
    record(
        Operation.USER_CREATED, actor=actor, target=target_of(user), reason=reason, kind="security",
        detail={"superuser": superuser},
    )  # fmt: skip
    return user
