"""``/audit/events``: reading the register. Who may, errors and pages are the settings' own."""

from typing import Any
from uuid import UUID

import django_filters
from django.db import connection, transaction
from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema, extend_schema_field
from rest_framework import mixins, serializers
from rest_framework.exceptions import NotFound
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.viewsets import GenericViewSet

from audit import guard
from audit.models import Event
from audit.operations import Operation

PATIENCE_MS = 5_000


@extend_schema_field({"type": "string", "pattern": "^[0-9a-f]*$"})
class Digest(serializers.Field[Any, Any, Any, Any]):
    """Bytes in hexadecimal."""

    def to_representation(self, value: Any) -> str | None:
        return None if value is None else bytes(value).hex()


class EventShown(serializers.ModelSerializer[Event]):
    """One entry: who, what, when, where, why and how, and with what result."""

    changes = serializers.DictField(read_only=True, allow_null=True)
    detail = serializers.DictField(read_only=True, allow_null=True)
    input_digest = Digest(read_only=True, allow_null=True)
    output_digest = Digest(read_only=True, allow_null=True)

    class Meta:
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


@extend_schema(tags=["audit"])
class Events(mixins.ListModelMixin, GenericViewSet[Event]):
    """The register, newest first. Nothing changes it."""

    permissions = {"list": "audit.read", "retrieve": "audit.read"}
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
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute("SELECT set_config('statement_timeout', %s, true)", [str(PATIENCE_MS)])
            return super().list(request, *args, **kwargs)

    def retrieve(self, request: Request, pk: UUID) -> Response:
        """One entry."""
        del request
        event = self.get_queryset().filter(pk=pk).first()
        if event is None:
            raise NotFound
        return Response(self.get_serializer(event).data)
