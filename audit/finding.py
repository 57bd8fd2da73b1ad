"""What is looked for in the register, as a value; and the rows of it, a page at a time, each question by an index.

A text is looked for in operation, target, actor and reason of all that the control plane wrote (see the migration
`0004_finding`), and as a whole in request ids, targets and actors of requests. An operation of requests is found by a
part of its name.
"""

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields, replace
from datetime import datetime
from heapq import merge
from itertools import islice
from typing import Any, NamedTuple
from uuid import UUID

from django.db import connection
from django.db.models import Q, QuerySet

from audit.models import Event
from audit.operations import Operation

FACETS = ("kind", "operation", "project", "actor_name", "status", "source")
FACETS_OVER = 500
FACETS_OVER_TEXT = 100
"""how many of the newest rows are counted: no page counts the register"""
VALUES_SHOWN = 8
GATEWAY = "gateway"


@dataclass(frozen=True, slots=True)
class Selection:
    """Which rows: those that have all that is given. Texts compare exactly, but for `text`."""

    since: datetime | None = None
    until: datetime | None = None
    """the first moment that is not meant any more"""
    kind: str = ""
    operation: str = ""
    project: str = ""
    request_id: str = ""
    actor_type: str = ""
    actor_id: str = ""
    actor_name: str = ""
    target_type: str = ""
    target_id: str = ""
    target_name: str = ""
    source: str = ""
    status: str = ""
    text: str = ""

    @classmethod
    def of(cls, given: Mapping[str, Any]) -> "Selection":
        """From a mapping that may hold more, and nothing for what is not asked."""
        return cls(**{name: given[name] for name in NAMES if given.get(name)})

    def exact(self) -> dict[str, str]:
        """column -> value."""
        return {name: value for name in EXACT if (value := getattr(self, name))}

    def narrow(self, events: QuerySet[Event]) -> QuerySet[Event]:
        """Those of the events that it means, its text aside."""
        if self.since:
            events = events.filter(at__gte=self.since)
        if self.until:
            events = events.filter(at__lt=self.until)
        return events.filter(**self.exact())

    def plain(self) -> dict[str, str]:
        """What is given, as JSON holds it."""
        given = {name: getattr(self, name) for name in NAMES}
        return {
            name: value.isoformat() if isinstance(value, datetime) else value
            for name, value in given.items() if value
        }  # fmt: skip

    @classmethod
    def from_plain(cls, plain: Mapping[str, str]) -> "Selection":
        """What `plain` wrote."""
        found = cls.of(plain)
        ends = {end: datetime.fromisoformat(plain[end]) for end in ("since", "until") if plain.get(end)}
        return replace(found, **ends)  # type: ignore[arg-type]


NAMES = tuple(field.name for field in fields(Selection))
EXACT = tuple(name for name in NAMES if name not in {"since", "until", "text"})


def operations_with(text: str) -> list[str]:
    """Operations of requests whose names hold the text."""
    return [it.value for it in Operation if it.startswith("inference.") and text.lower() in it.value]


@dataclass(frozen=True, slots=True)
class Found:
    """The rows of a selection with a text, with as much of a QuerySet as pages need: conditions, order, a slice."""

    events: QuerySet[Event]
    selection: Selection
    since: datetime | None = None
    until: datetime | None = None
    """as far as a page's place narrows the selection's own range"""
    oldest_first: bool = False

    def filter(self, condition: Q) -> "Found":
        ends = dict(_moments(condition))
        return replace(
            self, events=self.events.filter(condition), since=ends.get("at__gte", self.since),
            until=ends.get("at__lte", self.until),
        )  # fmt: skip

    def order_by(self, *columns: str) -> "Found":
        return replace(self, oldest_first=not columns[0].startswith("-"))

    def __getitem__(self, part: slice) -> list[Event]:
        """The first `part.stop` rows."""
        order = ("at", "id") if self.oldest_first else ("-at", "-id")
        branches = [list(branch.order_by(*order)[: part.stop]) for branch in self._branches(part.stop)]
        rows = merge(*branches, key=lambda it: (it.at, it.id), reverse=not self.oldest_first)
        return list(islice(_once(rows), part.stop))

    def _branches(self, count: int) -> Iterator[QuerySet[Event]]:
        """Queries that each meet an index; a row may be in several of them."""
        text = self.selection.text
        for operation in operations_with(text):
            yield self.events.filter(operation=operation)
        for column in ("request_id", "target_name", "actor_name"):
            yield self.events.filter(**{column: text})
        yield self.events.filter(pk__in=self._said(count))

    def _said(self, count: int) -> list[UUID]:
        exact, since, until = self.selection.exact(), self.since or self.selection.since, self.until
        asked = [self.selection.text, json.dumps(exact), since, until or self.selection.until, not self.oldest_first]
        with connection.cursor() as cursor:
            cursor.execute("SELECT audit_search(%s, %s::jsonb, %s, %s, %s, %s)", [*asked, count + SAME_MOMENT])
            return [row[0] for row in cursor.fetchall()]


def _moments(condition: Q) -> Iterator[tuple[str, datetime]]:
    """The ends of time that a page's condition sets."""
    for child in condition.children:
        if isinstance(child, Q):
            yield from _moments(child)
        elif isinstance(child, tuple) and child[0] in {"at__lte", "at__gte"}:
            yield child


SAME_MOMENT = 100
"""more rows than one transaction writes at a page's very place: they are cut off behind the search"""


def _once(rows: Iterator[Event]) -> Iterator[Event]:
    seen: set[UUID] = set()
    for row in rows:
        if row.pk not in seen:
            seen.add(row.pk)
            yield row


def find(events: QuerySet[Event], selection: Selection) -> "QuerySet[Event] | Found":
    """The selection's rows among the events; to be ordered and cut."""
    narrowed = selection.narrow(events)
    return Found(narrowed, selection) if selection.text else narrowed


class Facet(NamedTuple):
    """How often the values of a column occur."""

    column: str
    values: list[tuple[str, int]]


def facets(events: QuerySet[Event], selection: Selection) -> tuple[list[Facet], int, bool]:
    """Of the selection's newest rows, how many those were, and whether those were all."""
    found: Any = find(events.only("at", *FACETS), selection).order_by("-at", "-id")
    most = FACETS_OVER_TEXT if selection.text else FACETS_OVER
    if isinstance(found, Found):
        values = [tuple(getattr(row, column) for column in FACETS) for row in found[:most]]
    else:
        values = list(found.values_list(*FACETS)[:most])
    counted = [Counter(filter(None, column)).most_common(VALUES_SHOWN) for column in zip(*values, strict=True)]
    return [Facet(*it) for it in zip(FACETS, counted, strict=False)], len(values), len(values) < most
