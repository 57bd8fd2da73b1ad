"""Once a tick, whoever asks and however often: Celery's message is a hint, this is the claim."""

from datetime import datetime, timedelta

from django.db import connection

_MOVE = """
INSERT INTO monitoring_tick AS tick (name, at) VALUES (%s, %s)
ON CONFLICT (name) DO UPDATE SET at = excluded.at WHERE tick.at < excluded.at
RETURNING at
"""


def tick_of(now: datetime, seconds: float) -> datetime:
    """The beginning of the tick that `now` is in."""
    return now - timedelta(seconds=now.timestamp() % seconds)


def claim(name: str, at: datetime) -> bool:
    """True for whoever moves the work on to this tick. Within a transaction it holds only if that is committed:
    who dies on the way leaves the tick to the next one.
    """
    with connection.cursor() as cursor:
        cursor.execute(_MOVE, [name, at])
        return cursor.fetchone() is not None
