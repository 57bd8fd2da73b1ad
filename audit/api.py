"""``/audit/events``: reading the register. Who may, errors and pages are the settings' own."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from uuid import UUID

import django_filters
from django.db import connection, transaction
from django.db.models import F, QuerySet
from django.utils.dateparse import parse_datetime
from drf_spectacular.utils import OpenApiParameter, extend_schema, extend_schema_field
from rest_framework import mixins, serializers
from rest_framework.decorators import action
from rest_framework.exceptions import NotFound
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.viewsets import GenericViewSet

from audit import guard
from audit.finding import FACETS_OVER, Found, Selection, facets
from audit.models import Event, Seal
from audit.operations import Operation
from audit.showing import Showing
from audit.story import Stage, of_request, tell

PATIENCE_MS = 5_000
REQUEST_ID = "[A-Za-z0-9._-]{1,128}"


@extend_schema_field({"type": "string", "pattern": "^[0-9a-f]*$"})
class Digest(serializers.Field[Any, Any, Any, Any]):
    """Bytes in hexadecimal."""

    def to_representation(self, value: Any) -> str | None:
        return None if value is None else bytes(value).hex()


class EventShown(Showing, serializers.ModelSerializer[Event]):
    """One entry: who, what, when, where, why and how, and with what result."""

    changes = serializers.DictField(read_only=True, allow_null=True)
    detail = serializers.DictField(read_only=True, allow_null=True)
    input_digest = Digest(read_only=True, allow_null=True)
    output_digest = Digest(read_only=True, allow_null=True)

    class Meta(Showing.Meta):
        model = Event
        fields = [field.name for field in Event._meta.fields]  # noqa: SLF001 - Django's public way to the columns
        read_only_fields = fields


class EventFilters(django_filters.FilterSet):
    """All of them compare exactly, but for the two ends of time."""

    kind = django_filters.ChoiceFilter(choices=Event.Kind.choices)
    operation = django_filters.ChoiceFilter(choices=[(name.value, name.value) for name in Operation])
    project = django_filters.CharFilter()
    request_id = django_filters.CharFilter()
    parent_id = django_filters.UUIDFilter()
    actor_type = django_filters.CharFilter()
    actor_id = django_filters.CharFilter()
    actor_name = django_filters.CharFilter()
    target_type = django_filters.CharFilter()
    target_id = django_filters.CharFilter()
    target_name = django_filters.CharFilter()
    source = django_filters.CharFilter()
    status = django_filters.CharFilter()
    since = django_filters.IsoDateTimeFilter("at", "gte")
    until = django_filters.IsoDateTimeFilter("at", "lt")
    search = django_filters.CharFilter(
        method="found_later", max_length=200,
        help_text="A part of an operation, target, actor or reason (of requests: operation); a whole request id.",
    )  # fmt: skip

    def found_later(self, events: QuerySet[Event], _name: str, _value: str) -> QuerySet[Event]:
        """A page at a time, by `audit.finding`."""
        return events

    def filter_queryset(self, queryset: QuerySet[Event]) -> QuerySet[Event]:
        events: QuerySet[Event] = super().filter_queryset(queryset)
        parent = self.form.cleaned_data.get("parent_id")
        return _beside(queryset, events, parent) if parent else events


def _beside(seen: QuerySet[Event], events: QuerySet[Event], parent: UUID) -> QuerySet[Event]:
    """An outcome belongs to its intent's request, and that meets an index."""
    named = seen.filter(pk=parent).values_list("request_id", flat=True).first()
    return events.filter(request_id=named) if named else events.none()


@contextmanager
def patience() -> Iterator[None]:
    """Queries inside end after `PATIENCE_MS`."""
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SELECT set_config('statement_timeout', %s, true)", [str(PATIENCE_MS)])
        yield


class ValueShown(Showing):
    value = serializers.CharField()
    count = serializers.IntegerField()


class FacetsShown(Showing):
    counted = serializers.IntegerField(help_text=f"Of the newest entries, {FACETS_OVER} at most.")
    facets = serializers.DictField(child=ValueShown(many=True), help_text="By column; the most frequent values first.")


@extend_schema(tags=["audit"])
class Events(mixins.ListModelMixin, GenericViewSet[Event]):
    """The register, newest first. Nothing changes it."""

    permissions = {"list": "audit.read", "retrieve": "audit.read", "facets": "audit.read"}
    serializer_class = EventShown
    filterset_class = EventFilters
    ordering_fields = {"at": "at"}
    default_ordering = "-at"
    lookup_value_converter = "uuid"

    def get_queryset(self) -> QuerySet[Event]:
        """The entries that whoever asks may see."""
        return Event.objects.none() if getattr(self, "swagger_fake_view", False) else guard.readable(self.request)

    def list(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """A page of the register. A question that meets no index ends after some seconds with 503."""
        with patience():
            return super().list(request, *args, **kwargs)

    def filter_queryset(self, queryset: Any) -> Any:
        """With a text these are as much of a QuerySet as pages need."""
        events = super().filter_queryset(queryset)  # refuses what it does not understand
        selection = self._selection()
        return Found(events, selection) if selection.text else events

    def _selection(self) -> Selection:
        asked = self.request.query_params
        ends = {end: parse_datetime(asked[end]) for end in ("since", "until") if end in asked}
        return Selection.of(asked.dict() | ends | {"text": asked.get("search", "")})

    @extend_schema(responses=FacetsShown, filters=True)
    @action(detail=False, pagination_class=None)
    def facets(self, request: Request) -> Response:
        """How often each value occurs among the newest entries of a selection."""
        del request
        with patience():
            super().filter_queryset(self.get_queryset())  # refuses what it does not know
            found, counted, _all = facets(self.get_queryset(), self._selection())
        values = {it.column: [{"value": name, "count": count} for name, count in it.values] for it in found}
        return Response({"counted": counted, "facets": values})

    def retrieve(self, request: Request, pk: UUID) -> Response:
        """One entry."""
        del request
        event = self.get_queryset().filter(pk=pk).first()
        if event is None:
            raise NotFound
        return Response(self.get_serializer(event).data)


class StoryStepShown(Showing):
    stage = serializers.ChoiceField([(it.value, it.value) for it in Stage])
    at = serializers.DateTimeField()
    event = serializers.UUIDField(source="event.pk")
    facts = serializers.DictField()


class StoryShown(Showing):
    request_id = serializers.CharField()
    steps = StoryStepShown(many=True)
    events = EventShown(many=True)


@extend_schema(tags=["audit"])
class Requests(GenericViewSet[Event]):
    """What became of a request."""

    permissions = {"retrieve": "audit.read"}
    serializer_class = StoryShown
    filter_backends = ()
    pagination_class = None
    lookup_value_converter = "request_id"

    def get_queryset(self) -> QuerySet[Event]:
        return Event.objects.none() if getattr(self, "swagger_fake_view", False) else guard.readable(self.request)

    @extend_schema(
        parameters=[OpenApiParameter("id", {"type": "string", "pattern": REQUEST_ID}, OpenApiParameter.PATH)]
    )
    def retrieve(self, request: Request, pk: str) -> Response:
        """Its whole story: asked, limits, routing, replica, outcome; and the entries that tell it."""
        del request
        events = of_request(self.get_queryset(), pk)
        if not events:
            raise NotFound
        return Response(StoryShown({"request_id": pk, "steps": tell(events), "events": events}).data)


class SealShown(Showing, serializers.ModelSerializer[Seal]):
    """One seal: what binds the entries of about a second. Its fields are told in docs/register.md."""

    ranges = serializers.ListField(child=serializers.ListField(), read_only=True)
    gaps = serializers.ListField(child=serializers.ListField(), read_only=True)
    root = Digest(read_only=True)  # type: ignore[assignment]
    prev = Digest(read_only=True)
    hash = Digest(read_only=True)

    class Meta(Showing.Meta):
        model = Seal
        fields = [
            "number", "epoch", "sealed_at", "ranges", "gaps", "count", "total", "first_at", "last_at", "root",
            "prev", "hash",
        ]  # fmt: skip
        read_only_fields = fields


@extend_schema(tags=["audit"])
class Seals(mixins.ListModelMixin, mixins.RetrieveModelMixin, GenericViewSet[Seal]):
    """What binds the register, newest first: hashes and counts, nothing of any entry."""

    permissions = {"list": "audit.read", "retrieve": "audit.read"}
    serializer_class = SealShown
    ordering_fields = {"number": "number"}
    default_ordering = "-number"
    lookup_value_converter = "int"

    def get_queryset(self) -> QuerySet[Seal]:
        """All of them, for whoever may read any of the register."""
        is_reader = not getattr(self, "swagger_fake_view", False) and guard.may_read(self.request)
        seals = Seal.objects.all() if is_reader else Seal.objects.none()
        return seals.defer("leaves").annotate(id=F("number"))
