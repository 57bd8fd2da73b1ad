"""Rows of the register as the gateway writes them."""

import itertools
from datetime import UTC, datetime, timedelta
from typing import Any

from django.db import connection

from audit.record import _INSERT, _adapt
from inference.contract.events import COLUMNS, Event
from inference.contract.ids import uuid7

NOON = datetime(2026, 11, 3, 12, 0, tzinfo=UTC)
_seconds = itertools.count()


def write(**fields: Any) -> Event:
    """One event; each a second after the one before unless told otherwise."""
    whole = {
        "id": uuid7(), "kind": "outcome", "operation": "inference.chat", "actor_type": "api_key", "actor_name": "bot",
        "at": NOON + timedelta(seconds=next(_seconds)), "status": "ok", "project": "default", "source": "gateway",
        "target_type": "route", "target_id": "qwen3", "target_name": "qwen3",
    }  # fmt: skip
    event = Event(**whole | fields)
    with connection.cursor() as cursor:
        cursor.execute(_INSERT, [_adapt(getattr(event, name)) for name in COLUMNS])
    return event
