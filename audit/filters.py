"""What the register can be narrowed by. Texts are compared whole, so that they meet an index."""

from collections.abc import Callable
from datetime import datetime
from typing import Any

from django.contrib.admin import SimpleListFilter
from django.db.models import Q, QuerySet
from django.http import HttpRequest
from django.utils import timezone
from django.utils.translation import gettext_lazy as _
from unfold.contrib.filters.admin import DropdownFilter, RangeDateTimeFilter, TextFilter

from audit.listing import BEFORE
from audit.models import Event
from audit.operations import Operation

Events = QuerySet[Event]


def search(events: Events, term: str) -> Events:
    """Events of a request id, else of an operation, else about a target or by an actor of exactly that name or id."""
    if not term:
        return events
    if events.filter(request_id=term).exists():
        return events.filter(request_id=term)
    if term in {it.value for it in Operation}:
        return events.filter(operation=term)
    return events.filter(Q(target_name=term) | Q(target_id=term) | Q(actor_name=term))


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
            if moment := self._moment(side):
                queryset = queryset.filter(**{lookup: moment})
        return queryset

    def _moment(self, side: str) -> datetime | None:
        date, time = (str(self.used_parameters.get(f"at_{side}_{part}") or "") for part in (0, 1))
        try:
            moment = datetime.fromisoformat(f"{date}T{time or '00:00:00'}") if date else None
            return timezone.make_aware(moment) if moment else None
        except (ValueError, OverflowError):
            return None


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


def _of_target(events: Events, text: str) -> Events:
    kind, colon, key = text.partition(":")
    return events.filter(target_type=kind, target_id=key) if colon else events.filter(target_name=text)


TargetFilter = exact(_("target"), "target", _of_target)
