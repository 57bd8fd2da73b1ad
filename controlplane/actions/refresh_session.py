from datetime import datetime, timedelta
from enum import StrEnum

from django.db import transaction
from django.utils import timezone

from audit.operations import Operation
from audit.record import Actor, record
from controlplane import tokens
from controlplane.actions.base import target_of
from controlplane.actions.start_session import TokenPair, issue
from controlplane.errors import Refused
from controlplane.models import RefreshToken, UserSession

UNUSED_LIFETIME = timedelta(days=7)


class Refusal(StrEnum):
    """Why a refresh token gives nothing."""

    UNKNOWN = "unknown"
    REUSED = "reused"
    ENDED = "ended"
    EXPIRED = "expired"


class BadRefreshToken(Refused):
    """It is unknown, used, expired, or its session has ended; the client is told only that it is no good."""

    code = "bad_token"

    def __init__(self, reason: Refusal) -> None:
        super().__init__("The refresh token is unknown, used, expired or revoked.")
        self.reason = reason


def refresh_session(refresh: str, *, actor: Actor) -> TokenPair:
    """The next pair. A token that was used before ends its whole session: one of its two users has stolen it.

    Raises `BadRefreshToken`.
    """
    outcome = _refresh(refresh, actor, timezone.now())
    if isinstance(outcome, Refusal):  # raised out here, so that what a reuse ends stays ended
        raise BadRefreshToken(outcome)
    return outcome


@transaction.atomic
def _refresh(refresh: str, actor: Actor, now: datetime) -> TokenPair | Refusal:
    if not tokens.is_refresh_token(refresh):
        return Refusal.UNKNOWN
    mine = RefreshToken.objects.filter(pk=tokens.digest(refresh))
    claimed = mine.filter(used_at=None).update(used_at=now)  # of two at once, one has it
    token = mine.select_related("session__user").first()
    if token is None:
        return Refusal.UNKNOWN
    session = UserSession.objects.select_for_update(of=("self",)).select_related("user").get(pk=token.session_id)
    if session.ended_at or session.expires_at <= now or not session.user.is_active:
        return Refusal.ENDED
    if not claimed:
        _end_stolen(session, actor, now)
        return Refusal.REUSED
    if token.created_at + UNUSED_LIFETIME <= now:
        return Refusal.EXPIRED
    session.last_seen_at, session.address = now, actor.ip
    session.save(update_fields=["last_seen_at", "address", "updated_at"])
    return issue(session, now)


def _end_stolen(session: UserSession, actor: Actor, now: datetime) -> None:
    UserSession.objects.filter(pk=session.pk).end(UserSession.End.TOKEN_REUSED, now)
    record(
        Operation.SESSION_TOKEN_REUSED, actor=actor, target=target_of(session.user), kind="security", status="refused",
        detail={"session": str(session.pk), "signed_in_from": session.address, "signed_in_with": session.device},
    )  # fmt: skip
