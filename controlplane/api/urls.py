"""Every path below ``/api/v1/``."""

from typing import Any

from django.urls import path, register_converter
from django.urls.converters import IntConverter, StringConverter
from rest_framework.routers import SimpleRouter

from audit.api import REQUEST_ID, Events, Requests, Seals
from controlplane import archives
from controlplane.api import (
    access,
    alerts,
    api_keys,
    auth,
    bodies,
    catalog,
    channels,
    deployments,
    exports,
    identity,
    limits,
    nodes,
    retention,
    roles,
    routes,
    suspensions,
    usage,
)
from controlplane.api.schema import openapi
from controlplane.api.unknown import unknown


class UserIdConverter(IntConverter):
    """Ids of people are numbers that fit PostgreSQL's bigint."""

    regex = "[0-9]{1,18}"


class MonthConverter(StringConverter):
    """``2026-01``."""

    regex = archives.MONTH


class RequestIdConverter(StringConverter):
    """As clients and the gateway write them."""

    regex = REQUEST_ID


register_converter(UserIdConverter, "user_id")
register_converter(MonthConverter, "month")
register_converter(RequestIdConverter, "request_id")


class NounRouter(SimpleRouter):
    """Names the paths of a noun by its view."""

    def get_default_basename(self, viewset: type[Any]) -> str:
        return viewset.__name__.lower()


router = NounRouter(trailing_slash=False, use_regex_path=False)
router.register("models", catalog.Models)
router.register("versions", catalog.Versions)
router.register("deployments", deployments.Deployments)
router.register("replicas", deployments.Replicas)
router.register("routes", routes.Routes)
router.register("api-keys", api_keys.ApiKeys)
router.register("limits", limits.Limits)
router.register("nodes", nodes.Nodes)
router.register("usage", usage.UsageByDay)
router.register("projects", access.Projects)
router.register("users", access.Users)
router.register("sessions", identity.Sessions)
router.register("tokens", identity.Tokens)
router.register("service-accounts", identity.ServiceAccounts)
router.register("suspensions", suspensions.Suspensions)
router.register("roles", roles.Roles)
router.register("role-bindings", roles.RoleBindings)
router.register("alert-rules", alerts.AlertRules)
router.register("alerts", alerts.Alerts)
router.register("silences", alerts.Silences)
router.register("channels", channels.Channels)
router.register("deliveries", channels.Deliveries)
router.register("audit/events", Events)
router.register("audit/requests", Requests)
router.register("audit/seals", Seals)
router.register("audit/exports", exports.Exports)
router.register("audit/holds", retention.Holds)
router.register("audit/months", retention.Months)

urlpatterns = [
    path("openapi.json", openapi, name="openapi"),
    path("auth/token", auth.Token.as_view(), name="auth_token"),
    path("auth/refresh", auth.Refresh.as_view(), name="auth_refresh"),
    path("auth/revoke", auth.Revoke.as_view(), name="auth_revoke"),
    path("auth/password", auth.Password.as_view(), name="auth_password"),
    path("audit/events/<uuid:pk>/bodies", bodies.Bodies.as_view({"post": "read"}, detail=True), name="event_bodies"),
    *router.urls,
    path("<path:rest>", unknown),
]
