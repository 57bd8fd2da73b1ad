"""``/usage``: what was used, by day; rolled up by the workers, a minute or so behind."""

from typing import Any

import django_filters
from django.utils import timezone
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from audit.showing import Showing
from controlplane import usage
from controlplane.api.filters import refuse_unknown
from controlplane.api.nouns import NounViewSet, Shown, name_of, reading
from controlplane.models import Usage
from controlplane.roles import Permission
from controlplane.usage import By


class Sums(Showing):
    """What was used."""

    requests = serializers.IntegerField()
    failed = serializers.IntegerField(help_text="Of them, those that did not end well; a client that left is none.")
    prompt_tokens = serializers.IntegerField()
    completion_tokens = serializers.IntegerField()
    cost_micros = serializers.IntegerField(help_text="In millionths of a unit, at the prices of the time.")


class UsageShown(Sums, Shown):
    day = serializers.DateField(help_text="In the instance's time zone.")
    project = name_of("project_name")
    api_key = serializers.CharField(source="key_id", help_text="The public part of the key: sbx_<key_id>_…")
    api_key_name = serializers.CharField(source="key_name")
    route = serializers.CharField()
    version = serializers.CharField(help_text="model:version; empty when no engine was reached.")


class TotalShown(Sums):
    group = serializers.CharField(help_text="The day, or what else was asked for by `by`.")


class TotalsShown(Showing):
    """Sums, at most 1,000 groups; days in their order, all else with most requests first."""

    by = serializers.ChoiceField([it.value for it in By])
    results = TotalShown(many=True)


class UsageFilters(django_filters.FilterSet):
    since = django_filters.DateFilter("day", "gte", input_formats=["%Y-%m-%d"])
    until = django_filters.DateFilter("day", "lte", input_formats=["%Y-%m-%d"])
    project = django_filters.CharFilter("project_name")
    api_key = django_filters.CharFilter("key_id")
    route = django_filters.CharFilter()
    version = django_filters.CharFilter()


class TotalsFilters(UsageFilters):
    by = django_filters.ChoiceFilter(choices=[(it.value, it.value) for it in By], method="pass_over")

    def pass_over(self, queryset: Any, _name: str, _value: str) -> Any:
        """It narrows nothing."""
        return queryset


@extend_schema(tags=["usage"])
class UsageByDay(NounViewSet):
    """Requests, tokens and cost by day, project, key, route and model version."""

    noun = Usage
    permissions = reading(Permission.USAGE_READ) | {"totals": Permission.USAGE_READ}
    serializer_class = UsageShown
    filterset_class = UsageFilters
    ordering_fields = {"day": "day"}
    default_ordering = "-day"
    listing = frozenset({"list", "totals"})

    @extend_schema(
        responses=TotalsShown, filters=True,
        parameters=[
            OpenApiParameter(name, exclude=True) for name in ("limit", "cursor", "ordering", "search")
        ],
    )  # fmt: skip
    @action(detail=False, filterset_class=TotalsFilters, pagination_class=None)
    def totals(self, request: Request) -> Response:
        """Sums by one thing: the day unless told; of the last 30 days unless `since` or `until` says otherwise."""
        refuse_unknown(request, set(TotalsFilters.base_filters))
        rows, by = self.filter_queryset(self.get_queryset()), By(request.query_params.get("by", By.DAY))
        if not {"since", "until"} & set(request.query_params):
            rows = rows.filter(day__gte=usage.since(timezone.localdate()))
        return Response(TotalsShown({"by": by.value, "results": usage.totals(rows, by)}).data)
