"""``/api-keys``: keys of the gateway, with what they may have."""

from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import django_filters
from django.db import transaction
from django.db.models import Q, QuerySet
from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework import serializers, status
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from controlplane.actions.change_api_key import change_api_key
from controlplane.actions.create_api_key import create_api_key
from controlplane.actions.revoke_api_key import revoke_api_key
from controlplane.actions.rotate_api_key import LONGEST_OVERLAP, USUAL_OVERLAP, rotate_api_key
from controlplane.actions.scopes import MOST_ENTRIES
from controlplane.actions.set_limit import set_limit
from controlplane.api.fields import Body, Choice, Moment, Reference, Text, Whole
from controlplane.api.joins import parts
from controlplane.api.limits import LimitChange, NumbersShown
from controlplane.api.nouns import CREATED_AT, NounViewSet, Shown, name_of, reading
from controlplane.api.preconditions import reason_of
from controlplane.errors import within
from controlplane.models import ApiKey, Limit, Project, Route
from controlplane.models.limits import DIMENSIONS
from controlplane.roles import Permission
from inference.contract import endpoints

MOST_ROUTES = 200


class KeyLimitShown(NumbersShown):
    """What the key may have: of everything, or of one route."""

    route = serializers.CharField(allow_null=True, default=None)


class ApiKeyShown(Shown):
    name = serializers.CharField()
    project = name_of("project.name")
    key_id = serializers.CharField(help_text="The public part of the key: sbx_<key_id>_…")
    routes = serializers.ListField(child=serializers.CharField(), allow_null=True)
    endpoints = serializers.ListField(child=serializers.CharField(), allow_null=True)
    cidrs = serializers.ListField(child=serializers.CharField(), allow_null=True)
    expires_at = serializers.DateTimeField(allow_null=True)
    revoked_at = serializers.DateTimeField(allow_null=True)
    rotated_at = serializers.DateTimeField(allow_null=True)
    previous_expires_at = serializers.DateTimeField(
        allow_null=True, help_text="Until then the secret before the last rotation is let in as well."
    )
    last_used_at = serializers.DateTimeField(allow_null=True, help_text="By any secret; known after a minute or two.")
    previous_last_used_at = serializers.DateTimeField(allow_null=True, help_text="By the secret before the rotation.")
    created_by = serializers.CharField()
    usable = serializers.BooleanField()
    limits = KeyLimitShown(many=True, source="shown_limits")


class ApiKeyCreated(ApiKeyShown):
    key = serializers.CharField(help_text="The whole key; shown this once and stored nowhere.")


class KeyLimit(LimitChange):
    reason = None  # type: ignore[assignment]  # Django's way to take an inherited field away
    route = Reference(
        Route, fetched=("project",), allow_null=True, default=None, help_text="Null: all routes together."
    )


class ApiKeyScopes(Body):
    """What a key may be held to."""

    routes = serializers.ListField(
        child=Text(max_length=128), max_length=MOST_ROUTES, allow_null=True, default=None,
        help_text="Names of the routes it may call; null: all that its project may call.",
    )  # fmt: skip
    endpoints = serializers.ListField(
        child=Choice(choices=endpoints.NAMES), max_length=len(endpoints.NAMES), allow_null=True, default=None,
        help_text="What it may call; null: everything.",
    )  # fmt: skip
    cidrs = serializers.ListField(
        child=Text(max_length=43), max_length=MOST_ENTRIES, allow_null=True, default=None,
        help_text="Networks from which it may be used, such as 10.0.0.0/8; null: anywhere.",
    )  # fmt: skip
    expires_at = Moment(allow_null=True, default=None)


class ApiKeyCreate(ApiKeyScopes):
    project = Reference(Project)
    name = Text(max_length=100)
    limits = serializers.ListField(
        child=KeyLimit(), max_length=MOST_ROUTES, default=list,
        help_text="What it may have, of everything or of single routes; none: what its project may have.",
    )  # fmt: skip


class ApiKeyChange(ApiKeyScopes):
    name = Text(max_length=100)


class ApiKeyRotate(Body):
    overlap_seconds = Whole(
        min_value=0, max_value=int(LONGEST_OVERLAP.total_seconds()), default=int(USUAL_OVERLAP.total_seconds()),
        help_text="How long the old secret is let in as well; 0: it ends at once, as it should when it has leaked.",
    )  # fmt: skip


class ApiKeyFilters(django_filters.FilterSet):
    name = django_filters.CharFilter()
    key_id = django_filters.CharFilter()
    project = django_filters.CharFilter("project__name")
    usable = django_filters.BooleanFilter(method="filter_usable")
    unused_since = django_filters.IsoDateTimeFilter(method="filter_unused", help_text="Never used counts as unused.")

    def filter_usable(self, queryset: Any, _name: str, value: bool) -> Any:
        ended = Q(revoked_at__isnull=False) | Q(expires_at__isnull=False, expires_at__lte=timezone.now())
        return queryset.filter(~ended if value else ended)

    def filter_unused(self, queryset: Any, _name: str, value: datetime) -> Any:
        return queryset.filter(Q(last_used_at=None) | Q(last_used_at__lt=value))


@extend_schema(tags=["api-keys"])
class ApiKeys(NounViewSet):
    """Keys of the gateway."""

    noun = ApiKey
    fetched = ("project",)
    listed = ("project__name",)
    permissions = reading(Permission.API_KEY_READ) | {
        "create": Permission.API_KEY_CREATE,
        "partial_update": Permission.API_KEY_CHANGE,
        "rotate": Permission.API_KEY_ROTATE,
        "destroy": Permission.API_KEY_REVOKE,
    }
    serializer_class = ApiKeyShown
    filterset_class = ApiKeyFilters
    search_fields = ("name", "key_id", "created_by")
    searched = "searched"
    ordering_fields = {"name": "name", **CREATED_AT}
    default_ordering = "-created_at"

    def shaped(self, rows: QuerySet[Any]) -> QuerySet[Any]:
        columns = {name: name for name in DIMENSIONS} | {"route": "route__name"}
        return super().shaped(rows.annotate(shown_limits=parts(Limit.objects.order_by("pk"), "api_key", **columns)))

    @extend_schema(request=ApiKeyCreate, responses={201: ApiKeyCreated})
    def create(self, request: Request) -> Response:
        """Make a key, with its limits. The answer holds it whole, this once."""
        fields = self.body(ApiKeyCreate)
        reason, limits, actor = reason_of(request, fields), fields.pop("limits"), self.actor()
        with transaction.atomic():
            made = create_api_key(reason=reason, actor=actor, **fields)
            for place, limit in enumerate(limits):
                with within(f"limits[{place}]"):
                    set_limit(api_key=made.key, reason=reason, actor=actor, **limit)
        return self.show(made.key.pk, status.HTTP_201_CREATED, key=made.token)

    @extend_schema(request=ApiKeyChange, responses=ApiKeyShown)
    def partial_update(self, request: Request, pk: UUID) -> Response:
        """Change its name, scopes or end. Every gateway follows within a second."""
        fields = self.body(ApiKeyChange, partial=True)
        reason = reason_of(request, fields)
        with self.locked(pk) as key:
            change_api_key(key, actor=self.actor(), reason=reason, **fields)
        return self.show(pk)

    @extend_schema(request=ApiKeyRotate, responses={201: ApiKeyCreated})
    @action(detail=True, methods=["post"])
    def rotate(self, request: Request, pk: UUID) -> Response:
        """Give it another secret, shown this once; the old one is let in for a while as well."""
        fields = self.body(ApiKeyRotate)
        reason, overlap = reason_of(request, fields), timedelta(seconds=fields["overlap_seconds"])
        with self.locked(pk) as key:
            made = rotate_api_key(key, overlap=overlap, actor=self.actor(), reason=reason)
        return self.show(pk, status.HTTP_201_CREATED, key=made.token)

    @extend_schema(request=None, responses={200: ApiKeyShown})
    def destroy(self, request: Request, pk: UUID) -> Response:
        """Revoke a key: every gateway refuses it within a second. Its row stays. Needs a reason."""
        reason = reason_of(request, self.body(Body), required=True)
        with self.locked(pk) as key:
            revoke_api_key(key, actor=self.actor(), reason=reason)
        return self.show(pk)
