"""When a session or a token was last used, kept to the minute: one small write a minute, none in most requests."""

import logging
from collections.abc import Callable
from datetime import datetime, timedelta

from django.db import DatabaseError

from controlplane.models import ManagementToken, UserSession

logger = logging.getLogger(__name__)

KEPT_TO = timedelta(minutes=1)


def of_session(session: UserSession, address: str | None, now: datetime) -> None:
    """Note that the session was used, from where. What cannot be noted is logged: nobody is turned away for it."""
    if session.ended_at or now - session.last_seen_at < KEPT_TO:
        return
    stale = UserSession.objects.filter(pk=session.pk, ended_at=None, last_seen_at__lte=now - KEPT_TO)
    _note(lambda: stale.update(last_seen_at=now, address=address or None))


def of_token(token: ManagementToken, now: datetime) -> None:
    if token.last_used_at is not None and now - token.last_used_at < KEPT_TO:
        return
    _note(lambda: ManagementToken.objects.filter(pk=token.pk).update(last_used_at=now))


def _note(write: Callable[[], int]) -> None:
    try:
        write()
    except DatabaseError as exc:
        logger.warning("last use not noted: %s", exc)
