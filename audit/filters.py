"""What the register can be narrowed by. Texts are compared whole, so that they meet an index."""

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from django.contrib.admin import SimpleListFilter
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils import timezone
from django.utils.translation import gettext_lazy as _
from unfold.contrib.filters.admin import DropdownFilter, RangeDateTimeFilter, TextFilter

from audit.finding import Selection
from audit.models import Event
from audit.operations import Operation

Events = QuerySet[Event]
BEFORE = "before"
"""the page's place in the query string"""


class Cursor(SimpleListFilter):
    """Takes the page's place out of the query string, so that it is not read as a column. Shows nothing."""

    title = ""
    parameter_name = BEFORE

    def has_output(self) -> bool:
        return False

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[Any]:
        del request, model_admin
        return []

    def queryset(self, request: HttpRequest, queryset: Events) -> Events:
        del request
        return queryset


class OperationFilter(DropdownFilter):
    title = _("operation")
    parameter_name = "operation"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        del request, model_admin
        return [(it.value, it.value) for it in Operation]

    def queryset(self, request: HttpRequest, queryset: Events) -> Events:
        del request
        return queryset.filter(operation=self.value()) if self.value() else queryset


class TimeFilter(RangeDateTimeFilter):
    """Two moments in the console's time zone; Unfold's own reads them without a zone."""

    def queryset(self, request: HttpRequest, queryset: Events) -> Events:
        del request
        for side, lookup in (("from", "at__gte"), ("to", "at__lt")):
            if end := self._moment(side):
                queryset = queryset.filter(**{lookup: end})
        return queryset

    def _moment(self, side: str) -> datetime | None:
        return moment(*(str(self.used_parameters.get(f"at_{side}_{part}") or "") for part in (0, 1)))


def moment(date: str, time: str) -> datetime | None:
    """A moment in the console's time zone; None for what is none."""
    try:
        found = datetime.fromisoformat(f"{date}T{time or '00:00:00'}") if date else None
        return timezone.make_aware(found) if found else None
    except (ValueError, OverflowError):
        return None


def selection_of(asked: Mapping[str, str]) -> Selection:
    """What a page of the console is narrowed to, from its query string."""
    plain = {name: asked.get(name, "").replace("\x00", "") for name in (*PLAIN, *(f"at_{it}" for it in ENDS))}
    given: dict[str, Any] = {
        "kind": plain["kind__exact"], "operation": plain["operation"], "project": plain["project"],
        "actor_name": plain["actor"], "status": plain["status"], "source": plain["source"],
        "text": plain["q"].strip(), "since": moment(plain["at_from_0"], plain["at_from_1"]),
        "until": moment(plain["at_to_0"], plain["at_to_1"]),
    }  # fmt: skip
    return Selection.of(given | target(plain["target"]))


PLAIN = ("kind__exact", "operation", "project", "actor", "status", "source", "target", "q")
ENDS = ("from_0", "from_1", "to_0", "to_1")


def exact(title: Any, name: str, narrow: Callable[[Events, str], Events]) -> type[TextFilter]:
    """A filter with one line of text."""

    class Exact(TextFilter):
        parameter_name = name

        def queryset(self, request: HttpRequest, queryset: Events) -> Events:
            del request
            text = (self.value() or "").replace("\x00", "")
            return narrow(queryset, text) if text else queryset

    Exact.title = title
    return Exact


ProjectFilter = exact(_("project"), "project", lambda events, text: events.filter(project=text))
ActorFilter = exact(_("actor"), "actor", lambda events, text: events.filter(actor_name=text))
StatusFilter = exact(_("status"), "status", lambda events, text: events.filter(status=text))
SourceFilter = exact(_("source"), "source", lambda events, text: events.filter(source=text))


def _of_target(events: Events, text: str) -> Events:
    return events.filter(**target(text))


def target(text: str) -> dict[str, str]:
    """``kind:id``, else a name."""
    kind, colon, key = text.partition(":")
    return {"target_type": kind, "target_id": key} if colon else {"target_name": text}


TargetFilter = exact(_("target"), "target", _of_target)
