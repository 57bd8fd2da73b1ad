"""Kept bodies as they lie in the database: encrypted. The tables are made by hand, so there is no model of them."""

from collections.abc import Iterable
from datetime import datetime
from typing import Any, LiteralString, NamedTuple
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


_COLUMNS: LiteralString = "at, event_id, project, side, data_domain, mode, key_id, size, truncated, sealed"
_SELECT: LiteralString = f"SELECT {_COLUMNS} FROM {TABLE} WHERE event_id = ANY(%s) ORDER BY at, side"  # nosec B608  # noqa: S608 - names of our own
_BETWEEN: LiteralString = (
    f"SELECT {_COLUMNS} FROM {TABLE} WHERE project = %s AND at >= %s AND at < %s ORDER BY at, id LIMIT %s"  # nosec B608  # noqa: S608
)


def of_event(event: Event) -> list[Stored]:
    """What is kept of the event and of the intent before it. Within a transaction; afterwards nothing is seen again."""
    return of_events(event.project, [event.pk, *([event.parent_id] if event.parent_id else [])])


def between(project: str, since: datetime, until: datetime, most: int) -> list[Stored]:
    """What is kept of a project's requests from then till then, the oldest first, at most so many. As `of_event`."""
    return _seen(project, _BETWEEN, [project, since, until, most])


def of_events(project: str, events: Iterable[UUID]) -> list[Stored]:
    """What is kept of them, all of one project."""
    return _seen(project, _SELECT, [list(events)])


def _seen(project: str, query: LiteralString, values: list[Any]) -> list[Stored]:
    with connection.cursor() as cursor:
        cursor.execute("SELECT set_config(%s, %s, true)", [SEEN, project])
        cursor.execute(query, values)
        found = [Stored._make(row) for row in cursor.fetchall()]
        cursor.execute("SELECT set_config(%s, '', true)", [SEEN])
    return found
