"""``/limits``."""

from functools import cached_property
from typing import Any
from uuid import UUID

import django_filters
from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema, extend_schema_field
from rest_framework import serializers, status
from rest_framework.request import Request
from rest_framework.response import Response

from audit.showing import Read, Showing
from controlplane.actions.remove_limit import remove_limit
from controlplane.actions.set_limit import set_limit
from controlplane.api.fields import Body, Reference, Whole
from controlplane.api.nouns import CREATED_AT, NounViewSet, Shown, name_of, reading
from controlplane.api.preconditions import reason_of
from controlplane.budgets import standings_of, with_accounts
from controlplane.models import ApiKey, Limit, Project, Route
from controlplane.models.limits import DIMENSIONS, HIGHEST
from controlplane.roles import Permission
from inference.contract import budgets

MICROS_HELP = "In millionths of a unit of cost, as the prices of model versions."


class NumbersShown(Showing):
    """How much; null is unlimited."""

    requests_per_minute = serializers.IntegerField(allow_null=True)
    tokens_per_minute = serializers.IntegerField(allow_null=True)
    concurrency = serializers.IntegerField(allow_null=True)
    tokens_per_day = serializers.IntegerField(allow_null=True)
    tokens_per_month = serializers.IntegerField(allow_null=True)
    cost_micros_per_day = serializers.IntegerField(allow_null=True, help_text=MICROS_HELP)
    cost_micros_per_month = serializers.IntegerField(allow_null=True, help_text=MICROS_HELP)


class StandingShown(Showing):
    """How a budget stands in its present day or month; amounts in tokens or in millionths of a unit of cost."""

    dimension = serializers.ChoiceField(budgets.DIMENSIONS)
    amount = serializers.IntegerField()
    spent = serializers.IntegerField()
    leased = serializers.IntegerField(help_text="Held by gateways for requests that run or are expected.")
    remaining = serializers.IntegerField(help_text="What is not spent; a part of it may be leased.")
    renews_at = serializers.DateTimeField(allow_null=True, help_text="Null: nothing was asked for yet in this period.")


class LimitShown(Shown, NumbersShown):
    project = name_of("project.name")
    api_key = name_of("api_key.key_id", help_text="The public part of the key: sbx_<api_key>_…")
    route = name_of("route.name")
    budgets = serializers.SerializerMethodField(help_text="How much of each is spent.")

    @cached_property
    def show_standing(self) -> Read:
        """Found once for all limits of a list."""
        return StandingShown().reader()

    @extend_schema_field(StandingShown(many=True))
    def get_budgets(self, limit: Limit) -> Any:
        return [self.show_standing(standing) for standing in standings_of(limit)]


def _number(text: str, highest: int = HIGHEST) -> Whole:
    return Whole(min_value=0, max_value=highest, allow_null=True, required=False, help_text=text)


class LimitChange(Body):
    requests_per_minute = _number("Null: unlimited. 0: nothing is let through.")
    tokens_per_minute = _number("Prompt and answer together.")
    concurrency = _number("Requests at once.")
    tokens_per_day = _number("A budget of prompts and answers together, renewed at midnight.", budgets.HIGHEST)
    tokens_per_month = _number("The same, renewed on the first of the month.", budgets.HIGHEST)
    cost_micros_per_day = _number(MICROS_HELP, budgets.HIGHEST)
    cost_micros_per_month = _number(MICROS_HELP, budgets.HIGHEST)


class LimitSet(LimitChange):
    project = Reference(Project, allow_null=True, default=None)
    api_key = Reference(
        ApiKey, names=("key_id",), fetched=("project",), allow_null=True, default=None,
        help_text="A key's key_id or id; a limit is for a key or for a project.",
    )  # fmt: skip
    route = Reference(
        Route,
        fetched=("project",),
        allow_null=True,
        default=None,
        help_text="Alone, or together with a key or a project.",
    )


class LimitFilters(django_filters.FilterSet):
    project = django_filters.CharFilter("project__name")
    api_key = django_filters.CharFilter("api_key__key_id")
    route = django_filters.CharFilter("route__name")


@extend_schema(tags=["limits"])
class Limits(NounViewSet):
    """How much keys, projects and routes may have."""

    noun = Limit
    fetched = ("project", "api_key__project", "route__project")
    listed = ("project__name", "api_key__key_id", "route__name")
    permissions = reading(Permission.LIMIT_READ) | {
        "create": Permission.LIMIT_CHANGE,
        "partial_update": Permission.LIMIT_CHANGE,
        "destroy": Permission.LIMIT_CHANGE,
    }
    serializer_class = LimitShown
    filterset_class = LimitFilters
    ordering_fields = CREATED_AT
    default_ordering = "-created_at"

    def shaped(self, rows: QuerySet[Any]) -> QuerySet[Any]:
        return with_accounts(super().shaped(rows))

    @extend_schema(request=LimitSet, responses={201: LimitShown})
    def create(self, request: Request) -> Response:
        """Set the limits of a key, a project or a route, in place of what held for it before."""
        fields = self.body(LimitSet)
        limit = set_limit(reason=reason_of(request, fields), actor=self.actor(), **fields)
        return self.show(limit.pk, status.HTTP_201_CREATED)

    @extend_schema(request=LimitChange, responses=LimitShown)
    def partial_update(self, request: Request, pk: UUID) -> Response:
        """Change the numbers that are given. Every gateway follows within a second."""
        fields = self.body(LimitChange)
        reason = reason_of(request, fields)
        with self.locked(pk) as limit:
            numbers: dict[str, Any] = {name: getattr(limit, name) for name in DIMENSIONS}
            set_limit(
                api_key=limit.api_key, project=limit.project, route=limit.route,
                actor=self.actor(), reason=reason, **{**numbers, **fields},
            )  # fmt: skip
        return self.show(pk)

    @extend_schema(request=None, responses={204: None})
    def destroy(self, request: Request, pk: UUID) -> Response:
        """Take the limits of a subject away. Needs a reason."""
        reason = reason_of(request, self.body(Body), required=True)
        with self.locked(pk) as limit:
            remove_limit(limit, actor=self.actor(), reason=reason)
        return Response(status=status.HTTP_204_NO_CONTENT)
