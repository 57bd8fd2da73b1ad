from datetime import datetime
from typing import NamedTuple

from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from audit.operations import Operation
from audit.record import Actor, record
from controlplane import tokens
from controlplane.access.standing import standing_of
from controlplane.actions.base import project_name, target_of, validate
from controlplane.errors import Conflict, Invalid, NotAllowed
from controlplane.models import ManagementToken, ServiceAccount, User
from controlplane.permissions import Permission, require
from controlplane.roles import may_grant


class NewToken(NamedTuple):
    """The row and the whole token, shown once."""

    row: ManagementToken
    token: str


@transaction.atomic
def create_token(
    owner: User | ServiceAccount, *, name: str, expires_at: datetime | None = None, actor: Actor, reason: str = ""
) -> NewToken:
    """A bearer token of the management API that acts as its owner: the person who makes it, or a service account."""
    require_owning(owner, Permission.TOKEN_CREATE, actor)
    if not owner.is_active:
        raise Conflict(_("%(name)s is disabled.") % {"name": owner}, code="disabled")
    if expires_at and expires_at <= timezone.now():
        raise Invalid(_("The expiry lies in the past."), field="expires_at")
    made = new_token(owner, name, expires_at)
    record(
        Operation.TOKEN_CREATED, actor=actor, target=target_of(made.row), reason=reason, kind="security",
        project=project_of(owner), detail=told(made.row),
    )  # fmt: skip
    return made


def new_token(owner: User | ServiceAccount, name: str, expires_at: datetime | None) -> NewToken:
    """The row, saved, and its token."""
    generated = tokens.generate(tokens.MANAGEMENT)
    row = ManagementToken(
        user=owner if isinstance(owner, User) else None,
        service_account=owner if isinstance(owner, ServiceAccount) else None,
        name=name, token_id=generated.id, digest=tokens.digest(generated.token), expires_at=expires_at,
    )  # fmt: skip
    validate(row)
    row.save()
    return NewToken(row, generated.token)


def told(row: ManagementToken) -> dict[str, str | None]:
    """What the register keeps of a token."""
    expires = row.expires_at.isoformat() if row.expires_at else None
    return {"owner": str(row.owner), "token_id": row.token_id, "expires_at": expires}


def project_of(owner: User | ServiceAccount) -> str:
    return project_name(owner.project) if isinstance(owner, ServiceAccount) else ""


def require_owning(owner: User | ServiceAccount, permission: Permission, actor: Actor) -> None:
    """Raise `NotAllowed` unless the actor may have a token of this owner in hand.

    A person's token is only ever made by that person, and not with another token: who steals one could else make more.
    A machine's needs the permission, and everything that the machine itself may do.
    """
    if isinstance(owner, User):
        own = actor.type == "user" and actor.id == str(owner.pk) and actor.auth_method != "token"
        if not own and actor.type != "system":
            raise NotAllowed(_("A person's token is made by that person, signed in with their password."))
        return
    require(actor, permission, owner.project)
    mine = standing_of(actor)
    theirs = standing_of(Actor(type="service_account", id=str(owner.pk), name=owner.name, source=actor.source))
    if not all(may_grant(mine, grant.role, grant.project).allowed for grant in theirs.grants):
        raise NotAllowed(_("%(name)s may do more than you: ask somebody who may do that too.") % {"name": owner})
