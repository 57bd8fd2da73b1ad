"""Paging through the register without counting it: each page begins after the last row of the one before."""

from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from django.core.paginator import Paginator
from django.db.models import Q, QuerySet
from django.http import HttpRequest
from django.urls import reverse
from django.utils.http import urlencode
from unfold.views import ChangeList

from audit import guard
from audit.filters import BEFORE, selection_of
from audit.finding import Found, facets
from audit.models import Event, Retirement
from audit.partitions import month_after


class Place(NamedTuple):
    """A row's place in the register's order."""

    at: datetime
    id: UUID

    def __str__(self) -> str:
        return f"{self.at.isoformat()}_{self.id}"


def place_from(text: str) -> Place | None:
    """The place that `str` wrote; None for anything else."""
    at, _, event_id = text.partition("_")
    try:
        place = Place(datetime.fromisoformat(at), UUID(event_id))
    except ValueError:
        return None
    return place if place.at.tzinfo else None


def older_than(events: Any, place: Place) -> Any:
    """What stands before the place; the first condition is the one that meets the index."""
    return events.filter(Q(at__lte=place.at) & (Q(at__lt=place.at) | Q(id__lt=place.id)))


class Uncounted(Paginator):  # type: ignore[type-arg]
    """Never asks the database how many rows there are."""

    template_name = "audit/older.html"
    count = 0


class Value(NamedTuple):
    """A value of a facet: how often it stands in the newest rows, and the query string that narrows to it."""

    name: str
    times: int
    query: str
    chosen: bool


PARAMETERS = {
    "kind": "kind__exact", "operation": "operation", "project": "project", "actor_name": "actor", "status": "status",
    "source": "source",
}  # fmt: skip
"""column -> what narrows to it in the query string"""


class EventList(ChangeList):
    """One page of events, newest first. `older` is the query string of the next page, empty on the last."""

    older = ""
    dropped: Retirement | None = None
    """on the last page: entries up to this month are in the archive"""
    export = ""
    """where what is shown can be exported; empty for people who may not"""

    def get_queryset(self, request: HttpRequest, exclude_parameters: list[str | None] | None = None) -> QuerySet[Any]:
        events: QuerySet[Any] = super().get_queryset(request, exclude_parameters)
        return events.defer("changes", "detail")  # of any length, and not on the page

    def _found(self) -> "QuerySet[Event] | Found":
        found = Found(self.queryset, self.selection) if self.selection.text else self.queryset
        return older_than(found, self.place).order_by("-at", "-id") if self.place else found

    def get_results(self, request: HttpRequest) -> None:
        self.paginator = Uncounted([], self.list_per_page)
        self.place = place_from(request.GET.get(BEFORE, ""))
        self.selection = selection_of(request.GET)
        found = list(self._found()[: self.list_per_page + 1])
        self.result_list = found[: self.list_per_page]
        self.result_count = len(self.result_list)
        self.full_result_count = None
        self.show_full_result_count = False
        self.show_admin_actions = False
        self.can_show_all = self.show_all = self.multi_page = False
        if len(found) > self.list_per_page:
            last = self.result_list[-1]
            self.older = self.get_query_string({BEFORE: str(Place(last.at, last.id))})
        else:
            self.dropped = self._dropped()
        self._count_facets()
        if guard.may_export(request):
            self.export = f"{reverse('admin:controlplane_export_add')}?{urlencode(self.selection.plain())}"

    def _dropped(self) -> Retirement | None:
        """The last month that has left the database, if what is looked for may lie there."""
        last = Retirement.objects.last()
        since = self.selection.since
        return last if last and (since is None or since.date() < month_after(last.month)) else None

    def _count_facets(self) -> None:
        found, self.counted, self.counts_all = facets(self.root_queryset, self.selection)
        self.facets = [
            (
                getattr(Event._meta.get_field(it.column), "verbose_name", ""),  # noqa: SLF001 - Django's public way
                [self._value(it.column, *one) for one in it.values],
            )
            for it in found
        ]

    def _value(self, column: str, name: str, count: int) -> Value:
        chosen, parameter = getattr(self.selection, column) == name, PARAMETERS[column]
        changed = {parameter: None} if chosen else {parameter: name}
        return Value(name, count, self.get_query_string(changed, [BEFORE]), chosen)

    @property
    def newest(self) -> str:
        """The query string of the first page; empty on it."""
        return self.get_query_string(remove=[BEFORE]) if BEFORE in self.params else ""
