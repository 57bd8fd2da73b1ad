from django.db import transaction
from django.utils.translation import gettext as _

from audit.operations import Operation
from audit.record import Actor, record
from controlplane.access.standing import standing_of
from controlplane.actions.base import target_of, validate
from controlplane.errors import NotAllowed
from controlplane.models import User
from controlplane.permissions import Permission, require
from controlplane.roles import Role, may_grant


@transaction.atomic
def create_user(
    *, username: str, password: str, superuser: bool = False, email: str = "", actor: Actor, reason: str = ""
) -> User:
    """A person with a one-time password: the first sign-in asks for another one."""
    require(actor, Permission.USER_CREATE)
    if superuser and not may_grant(standing_of(actor), Role.OWNER, None).allowed:
        raise NotAllowed(_("You may not grant more than you hold there yourself."))
    user = User(username=username, email=email, is_staff=True, is_superuser=superuser, must_change_password=True)
    user.set_password(password)
    validate(user)
    user.save()
    record(
        Operation.USER_CREATED, actor=actor, target=target_of(user), reason=reason, kind="security",
        detail={"superuser": superuser},
    )  # fmt: skip
    return user
