from uuid import UUID

from django.db import transaction
from django.utils import timezone

from audit.operations import Operation
from audit.record import Actor, record
from controlplane import access_tokens, tokens
from controlplane.actions.base import target_of
from controlplane.models import RefreshToken, UserSession


@transaction.atomic
def stop_session(token: str, *, actor: Actor) -> None:
    """End the session that a refresh or access token belongs to: having it is the right to. Others end nothing."""
    known = _session_of(token)
    session = UserSession.objects.select_related("user").filter(pk=known).first() if known else None
    if session and UserSession.objects.filter(pk=session.pk).end(UserSession.End.SIGNED_OUT, timezone.now()):
        record(
            Operation.USER_SIGNED_OUT, actor=actor, target=target_of(session.user), kind="security",
            detail={"session": str(session.pk)},
        )  # fmt: skip


def _session_of(token: str) -> UUID | None:
    if tokens.is_refresh_token(token):
        return RefreshToken.objects.filter(pk=tokens.digest(token)).values_list("session_id", flat=True).first()
    try:
        return access_tokens.signer().verify(token).session_id
    except access_tokens.BadAccessToken:
        return None
