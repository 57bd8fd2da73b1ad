"""Routes: public model names and the deployments behind them."""

from typing import Any

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils.html import format_html_join
from django.utils.translation import gettext_lazy as _

from controlplane.access.asking import standing_in
from controlplane.access.lookups import access
from controlplane.admin.base import ConsoleAdmin, Verb
from controlplane.admin.route_facts import rules_shown, timeouts_shown
from controlplane.forms.route_rules import RulesForm, TimeoutsForm
from controlplane.forms.routes import ChangeRouteForm, DeleteRouteForm, RouteForm
from controlplane.models import Deployment, Route
from controlplane.permissions import Permission


@admin.register(Route)
class RouteAdmin(ConsoleAdmin):
    read_permission = Permission.ROUTE_READ
    list_display = ("name", "shown_targets", "shown_project", "created_at")
    list_select_related = ("project",)
    search_fields = ("name", "targets__deployment__name")
    add_form = RouteForm
    add_permission = Permission.ROUTE_CREATE
    add_title = _("New route")
    detail_template = "console/route.html"
    verbs = (
        Verb(
            "change", _("Change targets"), Permission.ROUTE_CHANGE, ChangeRouteForm, _("%(name)s was changed."),
            icon="tune",
        ),
        Verb(
            "rules", _("Change rules"), Permission.ROUTE_CHANGE, RulesForm, _("%(name)s was changed."),
            icon="alt_route",
        ),
        Verb(
            "timeouts", _("Change time-outs"), Permission.ROUTE_CHANGE, TimeoutsForm, _("%(name)s was changed."),
            icon="timer",
        ),
        Verb(
            "delete", _("Delete"), Permission.ROUTE_DELETE, DeleteRouteForm, _("%(name)s was deleted."),
            icon="delete", danger=True, warning=_("Requests for this name get 404 from the next second on."),
        ),
    )  # fmt: skip

    def get_queryset(self, request: HttpRequest) -> QuerySet[Route]:
        found: QuerySet[Route] = super().get_queryset(request)
        return found.prefetch_related("targets__deployment__status")

    @admin.display(description=_("targets"))
    def shown_targets(self, route: Route) -> Any:
        lines = ((target.deployment.name, share) for target, share in shares(route))
        return format_html_join("", '<span class="sb-target">{} <b>{}</b></span>', lines) or "—"

    @admin.display(description=_("project"), ordering="project__name")
    def shown_project(self, route: Route) -> Any:
        return route.project or _("every project")

    def facts(self, subject: Route) -> list[tuple[Any, Any]]:
        return [
            (_("project"), subject.project or _("every project")),
            (_("affinity header"), subject.affinity_header or _("none")),
            (_("time-outs"), timeouts_shown(subject) or _("the gateway's own")),
            (_("created"), subject.created_at),
            (_("changed"), subject.updated_at),
        ]

    def detail_context(self, request: HttpRequest, subject: Route) -> dict[str, Any]:
        seen = access(Deployment, standing_in(request)).filter(targets__route=subject)
        return {
            "shares": shares(subject),
            "seen": set(seen.values_list("pk", flat=True)),
            "rules": rules_shown(subject),
        }

    def verb_done(self, request: HttpRequest, verb: Verb, result: Route) -> HttpResponse:
        if verb.name != "delete":
            return super().verb_done(request, verb, result)
        messages.success(request, verb.done % {"name": result.name})
        return HttpResponseRedirect(reverse("admin:controlplane_route_changelist"))


def shares(route: Route) -> list[tuple[Any, str]]:
    """The targets with their parts of the traffic, as people read them."""
    targets = list(route.targets.all())
    total = sum(target.weight for target in targets)
    return [(target, f"{100 * target.weight / total:.3g} %" if total else "0 %") for target in targets]
