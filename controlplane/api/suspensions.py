"""``/suspensions``: whom the guard keeps out for something abnormal, and letting them in again."""

from typing import Any
from uuid import UUID

import django_filters
from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from audit.watch import Rule
from controlplane.actions.lift_suspension import lift_suspension
from controlplane.api.fields import Body
from controlplane.api.nouns import CREATED_AT, NounViewSet, Shown, reading
from controlplane.api.preconditions import reason_of
from controlplane.models import Suspension
from controlplane.roles import Permission


class SuspensionShown(Shown):
    actor_type = serializers.CharField()
    actor_id = serializers.CharField()
    actor_name = serializers.CharField()
    rule = serializers.ChoiceField([(it.value, it.value) for it in Rule])
    count = serializers.IntegerField(help_text="What the window would have held.")
    most = serializers.IntegerField(help_text="What it may hold.")
    window_seconds = serializers.IntegerField()
    until = serializers.DateTimeField()
    lifted_at = serializers.DateTimeField(allow_null=True)
    lifted_by = serializers.CharField()


class SuspensionFilters(django_filters.FilterSet):
    actor_name = django_filters.CharFilter()
    active = django_filters.BooleanFilter(method="filter_active")

    def filter_active(self, queryset: Any, _name: str, value: bool) -> Any:
        now = timezone.now()
        return queryset.active(now) if value else queryset.exclude(lifted_at=None, until__gt=now)


@extend_schema(tags=["users"])
class Suspensions(NounViewSet):
    """People and machines whom the guard keeps out."""

    noun = Suspension
    permissions = reading(Permission.USER_READ) | {"destroy": Permission.USER_CHANGE}
    serializer_class = SuspensionShown
    filterset_class = SuspensionFilters
    ordering_fields = CREATED_AT
    default_ordering = "-created_at"

    @extend_schema(request=None, responses={200: SuspensionShown})
    def destroy(self, request: Request, pk: UUID) -> Response:
        """Let somebody in before their time. Its row stays. Needs a reason."""
        reason = reason_of(request, self.body(Body), required=True)
        with self.locked(pk) as suspension:
            lift_suspension(suspension, actor=self.actor(), reason=reason)
        return self.show(pk)
