"""``/routes``."""

from typing import Any
from uuid import UUID

import django_filters
import msgspec
from django.db.models import QuerySet
from django.utils.translation import gettext as _
from drf_spectacular.utils import extend_schema, extend_schema_field
from rest_framework import serializers, status
from rest_framework.request import Request
from rest_framework.response import Response

from audit.showing import Showing
from controlplane import route_timeouts
from controlplane.access.lookups import routable
from controlplane.actions.delete_route import delete_route
from controlplane.actions.set_route import change_route, create_route
from controlplane.api.fields import Body, Choice, Flag, Number, Part, Reference, Text, Whole
from controlplane.api.joins import parts
from controlplane.api.nouns import PUBLIC_NAME, NounViewSet, Shown, name_of, reading
from controlplane.api.preconditions import reason_of
from controlplane.models import Deployment, Project, Route, RouteTarget
from controlplane.roles import Permission
from controlplane.route_rules import LONGEST_HEADER, LONGEST_PROMPT, LONGEST_VALUE, MOST_RULES, MOST_VALUES
from inference.contract import endpoints
from inference.contract.tables import RuleEntry, TimeoutsEntry

MOST_TARGETS = 100
HIGHEST_WEIGHT = 1000


class TargetShown(Showing):
    deployment = serializers.CharField()
    deployment_id = serializers.UUIDField()
    weight = serializers.IntegerField()


class RuleShown(Showing):
    """Sends requests of one kind to some of the targets. What is empty or null asks for nothing."""

    deployments = serializers.ListField(child=serializers.CharField())
    endpoints = serializers.ListField(child=serializers.CharField())
    prompt_tokens_from = serializers.IntegerField(allow_null=True)
    prompt_tokens_to = serializers.IntegerField(allow_null=True)
    header = serializers.CharField()
    header_values = serializers.ListField(child=serializers.CharField())
    fallback = serializers.BooleanField()


class TimeoutsShown(Showing):
    """Seconds; null is the gateway's own default."""

    connect = serializers.FloatField(allow_null=True)
    first_byte = serializers.FloatField(allow_null=True)
    chunk = serializers.FloatField(allow_null=True)
    total = serializers.FloatField(allow_null=True)


class RouteShown(Shown):
    name = serializers.CharField()
    project = name_of("project.name")
    targets = TargetShown(many=True, source="shown_targets")
    rules = RuleShown(many=True)
    affinity_header = serializers.CharField()
    timeouts = serializers.SerializerMethodField()

    @extend_schema_field(TimeoutsShown)
    def get_timeouts(self, route: Route) -> Any:
        return msgspec.to_builtins(route_timeouts.read(route.timeouts))


class Target(Part):
    deployment = Reference(Deployment, among=routable)
    weight = Whole(min_value=0, max_value=HIGHEST_WEIGHT, default=100, help_text="0: no traffic.")


class Rule(Part):
    deployments = serializers.ListField(
        child=Reference(Deployment, among=routable),
        max_length=MOST_TARGETS,
        help_text="Targets of the route; weights hold among them.",
    )
    endpoints = serializers.ListField(
        child=Choice(choices=endpoints.NAMES), max_length=len(endpoints.NAMES), default=list, help_text="Empty: all."
    )
    prompt_tokens_from = Whole(
        min_value=1, max_value=LONGEST_PROMPT, allow_null=True, default=None,
        help_text="The prompt has at least so many tokens, estimated at four bytes each.",
    )  # fmt: skip
    prompt_tokens_to = Whole(
        min_value=1, max_value=LONGEST_PROMPT, allow_null=True, default=None, help_text="It has less than so many."
    )
    header = Text(max_length=LONGEST_HEADER, allow_blank=True, default="", help_text="The request has this header.")
    header_values = serializers.ListField(
        child=Text(max_length=LONGEST_VALUE), max_length=MOST_VALUES, default=list,
        help_text="With one of these values; empty: with any.",
    )  # fmt: skip
    fallback = Flag(
        default=False,
        help_text="Other targets take its requests while none of its deployments has a healthy replica; "
        "otherwise they get 503 then.",
    )

    def to_internal_value(self, data: Any) -> Any:
        fields = super().to_internal_value(data)
        names = [deployment.name for deployment in fields["deployments"]]
        return msgspec.convert(fields | {"deployments": names}, RuleEntry)


def _seconds(help_text: str) -> Number:
    return Number(
        min_value=route_timeouts.SHORTEST, max_value=route_timeouts.LONGEST, allow_null=True, default=None,
        help_text=help_text,
    )  # fmt: skip


class Timeouts(Part):
    connect = _seconds("To open a connection to the engine.")
    first_byte = _seconds("From the request to the answer's first byte.")
    chunk = _seconds("Between two pieces of the answer.")
    total = _seconds("For all of it, further attempts included.")

    def to_internal_value(self, data: Any) -> Any:
        return TimeoutsEntry(**super().to_internal_value(data))


class RouteChange(Body):
    targets = serializers.ListField(
        child=Target(), max_length=MOST_TARGETS, required=False, help_text="All of them, not the new ones only."
    )
    rules = serializers.ListField(
        child=Rule(), max_length=MOST_RULES, required=False,
        help_text="All of them, in their order: the first that fits a request restricts its targets.",
    )  # fmt: skip
    affinity_header = Text(
        max_length=LONGEST_HEADER, allow_blank=True, required=False,
        help_text="Requests with the same value of this header go to the same replica while it is there.",
    )  # fmt: skip
    timeouts = Timeouts(required=False, help_text="All of them; what is not given is the gateway's default.")

    def validate_targets(self, targets: list[dict[str, Any]]) -> dict[Deployment, int]:
        weights = {target["deployment"]: target["weight"] for target in targets}
        if len(weights) != len(targets):
            raise serializers.ValidationError(_("A deployment stands there twice."))
        return weights


class RouteCreate(RouteChange):
    targets = serializers.ListField(child=Target(), max_length=MOST_TARGETS)
    name = Text(max_length=128, pattern=PUBLIC_NAME, help_text="The model name that clients write.")
    project = Reference(Project, allow_null=True, default=None, help_text="Null: every project may call it.")


class RouteFilters(django_filters.FilterSet):
    name = django_filters.CharFilter()
    project = django_filters.CharFilter("project__name")
    deployment = django_filters.CharFilter("targets__deployment__name")


@extend_schema(tags=["routes"])
class Routes(NounViewSet):
    """Public model names and where their traffic goes."""

    noun = Route
    fetched = ("project",)
    listed = ("project__name",)
    permissions = reading(Permission.ROUTE_READ) | {
        "create": Permission.ROUTE_CREATE,
        "partial_update": Permission.ROUTE_CHANGE,
        "destroy": Permission.ROUTE_DELETE,
    }
    serializer_class = RouteShown
    filterset_class = RouteFilters
    search_fields = ("name",)

    def shaped(self, rows: QuerySet[Route]) -> QuerySet[Route]:
        columns = {"deployment": "deployment__name", "deployment_id": "deployment_id", "weight": "weight"}
        return super().shaped(rows.annotate(shown_targets=parts(RouteTarget.objects.all(), "route", **columns)))

    @extend_schema(request=RouteCreate, responses={201: RouteShown})
    def create(self, request: Request) -> Response:
        """Open a public model name."""
        fields = self.body(RouteCreate)
        route = create_route(reason=reason_of(request, fields), actor=self.actor(), **fields)
        return self.show(route.pk, status.HTTP_201_CREATED)

    @extend_schema(request=RouteChange, responses=RouteShown)
    def partial_update(self, request: Request, pk: UUID) -> Response:
        """Change what is given, each as a whole: its traffic goes to these targets and to no others."""
        fields = self.body(RouteChange)
        reason = reason_of(request, fields)
        with self.locked(pk) as route:
            change_route(route, actor=self.actor(), reason=reason, **fields)
        return self.show(pk)

    @extend_schema(request=None, responses={204: None})
    def destroy(self, request: Request, pk: UUID) -> Response:
        """Take the name away; requests for it get 404 from the next second on. Needs a reason."""
        reason = reason_of(request, self.body(Body), required=True)
        with self.locked(pk) as route:
            delete_route(route, actor=self.actor(), reason=reason)
        return Response(status=status.HTTP_204_NO_CONTENT)
