from datetime import datetime, timedelta
from typing import NamedTuple

from django.db import transaction
from django.utils import timezone

from audit.operations import Operation
from audit.record import Actor, record
from controlplane import access_tokens, tokens
from controlplane.actions.base import target_of
from controlplane.models import RefreshToken, User, UserSession

API_LIFETIME = timedelta(days=30)
LONGEST_DEVICE = 200


class TokenPair(NamedTuple):
    """What a client of the management API holds; shown once, stored as a hash (refresh) or not at all (access)."""

    access: str
    refresh: str
    session: UserSession


@transaction.atomic
def start_api_session(user: User, *, actor: Actor) -> TokenPair:
    """Sign a person in at the management API. The caller has checked the password; `actor` is that person."""
    now = timezone.now()
    session = UserSession.objects.create(
        user=user, kind=UserSession.Kind.API, address=actor.ip, device=actor.client[:LONGEST_DEVICE], last_seen_at=now,
        expires_at=now + API_LIFETIME,
    )  # fmt: skip
    record(
        Operation.USER_SIGNED_IN, actor=actor, target=target_of(user), kind="security",
        detail={"session": str(session.pk)},
    )  # fmt: skip
    return issue(session, now)


def issue(session: UserSession, now: datetime) -> TokenPair:
    """The next pair of a live session's chain."""
    refresh = tokens.generate(tokens.REFRESH).token
    RefreshToken.objects.create(digest=tokens.digest(refresh), session=session)
    return TokenPair(access_tokens.signer().sign(session.user_id, session.pk, now), refresh, session)
