"""``/routes``."""

from typing import Any
from uuid import UUID

import django_filters
from django.db.models import QuerySet
from django.utils.translation import gettext as _
from drf_spectacular.utils import extend_schema
from rest_framework import serializers, status
from rest_framework.request import Request
from rest_framework.response import Response

from controlplane.access.lookups import routable
from controlplane.actions.delete_route import delete_route
from controlplane.actions.set_route import change_route, create_route
from controlplane.api.fields import Body, Part, Reference, Text, Whole
from controlplane.api.nouns import PUBLIC_NAME, NounViewSet, Shown, name_of, reading
from controlplane.api.preconditions import reason_of
from controlplane.models import Deployment, Project, Route
from controlplane.roles import Permission

MOST_TARGETS = 100
HIGHEST_WEIGHT = 1000


class TargetShown(serializers.Serializer[Any]):
    deployment = serializers.CharField(source="deployment.name")
    deployment_id = serializers.UUIDField()
    weight = serializers.IntegerField()


class RouteShown(Shown):
    name = serializers.CharField()
    project = name_of("project.name")
    targets = TargetShown(many=True)


class Target(Part):
    deployment = Reference(Deployment, among=routable)
    weight = Whole(min_value=0, max_value=HIGHEST_WEIGHT, default=100, help_text="0: no traffic.")


class RouteChange(Body):
    targets = serializers.ListField(
        child=Target(), max_length=MOST_TARGETS, help_text="All of them, not the new ones only."
    )

    def validate_targets(self, targets: list[dict[str, Any]]) -> dict[Deployment, int]:
        weights = {target["deployment"]: target["weight"] for target in targets}
        if len(weights) != len(targets):
            raise serializers.ValidationError(_("A deployment stands there twice."))
        return weights


class RouteCreate(RouteChange):
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
    permissions = reading(Permission.ROUTE_READ) | {
        "create": Permission.ROUTE_CREATE,
        "partial_update": Permission.ROUTE_CHANGE,
        "destroy": Permission.ROUTE_DELETE,
    }
    serializer_class = RouteShown
    filterset_class = RouteFilters
    search_fields = ("name",)

    def shaped(self, rows: QuerySet[Route]) -> QuerySet[Route]:
        return super().shaped(rows).prefetch_related("targets__deployment")

    @extend_schema(request=RouteCreate, responses={201: RouteShown})
    def create(self, request: Request) -> Response:
        """Open a public model name."""
        fields = self.body(RouteCreate)
        route = create_route(reason=reason_of(request, fields), actor=self.actor(), **fields)
        return self.show(route.pk, status.HTTP_201_CREATED)

    @extend_schema(request=RouteChange, responses=RouteShown)
    def partial_update(self, request: Request, pk: UUID) -> Response:
        """Send its traffic to these deployments with these weights, and to no others."""
        fields = self.body(RouteChange)
        reason = reason_of(request, fields)
        with self.locked(pk) as route:
            change_route(route, targets=fields["targets"], actor=self.actor(), reason=reason)
        return self.show(pk)

    @extend_schema(request=None, responses={204: None})
    def destroy(self, request: Request, pk: UUID) -> Response:
        """Take the name away; requests for it get 404 from the next second on. Needs a reason."""
        reason = reason_of(request, self.body(Body), required=True)
        with self.locked(pk) as route:
            delete_route(route, actor=self.actor(), reason=reason)
        return Response(status=status.HTTP_204_NO_CONTENT)
