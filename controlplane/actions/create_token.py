import hashlib
import secrets
from datetime import datetime
from typing import NamedTuple

from django.db import transaction

from audit.operations import Operation
from audit.record import Actor, record
from controlplane.actions.base import target_of, validate
from controlplane.models import ManagementToken, User
from controlplane.permissions import Permission, require

PREFIX = "sbm_"


class NewToken(NamedTuple):
    """The row and the whole token, shown once."""

    row: ManagementToken
    token: str


def digest(token: str) -> str:
    """What is stored of a token: its SHA-256 (the token itself carries 256 random bits)."""
    return hashlib.sha256(token.encode()).hexdigest()


@transaction.atomic
def create_token(
    user: User, *, name: str, expires_at: datetime | None = None, actor: Actor, reason: str = ""
) -> NewToken:
    """A bearer token of the management API that acts as `user`."""
    require(actor, Permission.TOKEN_CREATE)
    token = PREFIX + secrets.token_urlsafe(32)
    row = ManagementToken(user=user, name=name, digest=digest(token), expires_at=expires_at)
    validate(row)
    row.save()
    record(Operation.TOKEN_CREATED, actor=actor, target=target_of(row), reason=reason, kind="security")
    return NewToken(row, token)
