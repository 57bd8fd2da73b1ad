"""Kept bodies as they lie in the database: encrypted. The tables are made by hand, so there is no model of them."""

from collections.abc import Iterable
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from django.db import connection

from audit.models import Event
from inference.contract.bodies import SEEN, TABLE, Place


class Stored(NamedTuple):
    """A row."""

    at: datetime
    event_id: UUID
    project: str
    side: str
    data_domain: str
    mode: str
    key_id: str
    size: int
    truncated: bool
    sealed: bytes

    @property
    def place(self) -> Place:
        return Place(self.event_id.bytes, self.side, self.project, self.key_id)


_SELECT = f"SELECT {', '.join(Stored._fields)} FROM {TABLE} WHERE event_id = ANY(%s) ORDER BY at, side"  # nosec B608  # noqa: S608 - names of our own


def of_event(event: Event) -> list[Stored]:
    """What is kept of the event and of the intent before it. Within a transaction; afterwards nothing is seen again."""
    return of_events(event.project, [event.pk, *([event.parent_id] if event.parent_id else [])])


def of_events(project: str, events: Iterable[UUID]) -> list[Stored]:
    """What is kept of them, all of one project."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT set_config(%s, %s, true)", [SEEN, project])
        cursor.execute(_SELECT, [list(events)])
        found = [Stored._make(row) for row in cursor.fetchall()]
        cursor.execute("SELECT set_config(%s, '', true)", [SEEN])
    return found
