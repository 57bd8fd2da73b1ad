"""Deployments: what was ordered, what runs, why it changed, and what the engines say."""

from typing import Any

from django.contrib import admin, messages
from django.core.exceptions import ObjectDoesNotExist
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect, JsonResponse
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext, ngettext
from django.utils.translation import gettext_lazy as _

from controlplane import charts, engine_tls, replica_log, replica_sources
from controlplane.access.asking import standing_in
from controlplane.access.lookups import access
from controlplane.admin.base import ConsoleAdmin, Verb
from controlplane.badges import badge
from controlplane.engine_secrets import shown_env
from controlplane.forms.deployments import ChangeDeploymentForm, DeleteDeploymentForm, DeploymentForm, ScaleForm
from controlplane.lifecycle import DeploymentState
from controlplane.models import Deployment, ModelVersion, Replica, ReplicaTransition, Route
from controlplane.models.deployments import Backend, Flavour
from controlplane.replica_sources import SourceAwayError
from controlplane.roles import Permission, Standing

HISTORY_SHOWN = 30


def deployment_state(deployment: Deployment) -> SafeString:
    """The state's badge; a deployment without a status row has not been looked at yet."""
    if deployment.deleted_at:
        return badge("deleting", _("Deleting"))
    try:
        status = deployment.status
    except ObjectDoesNotExist:
        return badge(DeploymentState.PENDING, DeploymentState.PENDING.label)
    return badge(status.state, status.get_state_display())


def tls_shown(deployment: Deployment) -> Any:
    """Against what an engine behind https is checked; empty for one without."""
    if not deployment.external_url.startswith("https:"):
        return ""
    if not deployment.tls_verify:
        return badge("failed", _("Not checked: anybody may pose as it"))
    number = len(engine_tls.fingerprints(deployment.tls_ca))
    if not number:
        return _("the machine's certificates")
    return ngettext("%(number)d own CA certificate", "%(number)d own CA certificates", number) % {"number": number}


def ready_of(deployment: Deployment) -> int:
    """Ready replicas, as the reconciler last saw them."""
    try:
        return deployment.status.ready_replicas
    except ObjectDoesNotExist:
        return 0


def _event_lines(replica: Replica) -> str:
    try:
        told = replica_sources.events(replica)
    except SourceAwayError as exc:
        return str(exc)
    return "\n".join(
        f"{timezone.localtime(it.at):%m-%d %H:%M:%S}  {it.type}  {it.reason}  {it.message}"
        + (f"  ×{it.count}" if it.count > 1 else "")
        for it in told
    )


@admin.register(Deployment)
class DeploymentAdmin(ConsoleAdmin):
    read_permission = Permission.DEPLOYMENT_READ
    list_display = ("name", "shown_state", "shown_replicas", "version", "flavour", "shown_project", "created_at")
    list_select_related = ("project", "version__model", "status")
    list_filter = ("status__state", "flavour")
    search_fields = ("name", "version__model__name")
    list_before_template = "console/live_list.html"
    add_form = DeploymentForm
    add_permission = Permission.DEPLOYMENT_CREATE
    add_title = _("New deployment")
    detail_template = "console/deployment.html"
    verbs = (
        Verb("scale", _("Scale"), Permission.DEPLOYMENT_SCALE, ScaleForm, _("%(name)s was scaled."),
             icon="unfold_more", offered=lambda it: it.deleted_at is None and it.flavour != Flavour.EXTERNAL),
        Verb("change", _("Change"), Permission.DEPLOYMENT_CHANGE, ChangeDeploymentForm, _("%(name)s was changed."),
             icon="tune", offered=lambda it: it.deleted_at is None,
             warning=_("Replicas whose specification changes are replaced.")),
        Verb("delete", _("Delete"), Permission.DEPLOYMENT_DELETE, DeleteDeploymentForm, _("%(name)s is being deleted."),
             icon="delete", danger=True, offered=lambda it: it.deleted_at is None,
             warning=_("Its engines get their drain time and are stopped.")),
    )  # fmt: skip

    def get_queryset(self, request: HttpRequest) -> QuerySet[Deployment]:
        found: QuerySet[Deployment] = super().get_queryset(request)
        return found.select_related(*self.list_select_related)

    @admin.display(description=_("state"), ordering="status__state")
    def shown_state(self, deployment: Deployment) -> SafeString:
        return deployment_state(deployment)

    @admin.display(description=_("ready / desired"))
    def shown_replicas(self, deployment: Deployment) -> SafeString:
        return format_html('<span class="sb-number">{} / {}</span>', ready_of(deployment), deployment.replicas)

    @admin.display(description=_("project"), ordering="project__name")
    def shown_project(self, deployment: Deployment) -> Any:
        return deployment.project or _("the platform")

    def more_urls(self) -> list[tuple[str, str, Any]]:
        return [
            ("<str:object_id>/live/", "live", self.live),
            ("<str:object_id>/charts/", "charts", self.charts),
            ("<str:object_id>/replicas/<str:replica>/log/", "log", self.log),
            ("<str:object_id>/replicas/<str:replica>/events/", "events", self.events),
        ]

    def add_page(self, request: HttpRequest) -> HttpResponse:
        """A deployment needs a version: without one, the way leads through the models."""
        if self.has_add_permission(request) and not access(ModelVersion, standing_in(request)).exists():
            messages.info(request, _("Register a model and a version of it first; then deploy it."))
            return HttpResponseRedirect(reverse("admin:controlplane_model_changelist"))
        return super().add_page(request)

    def facts(self, subject: Deployment) -> list[tuple[Any, Any]]:
        version = format_html(
            '<a href="{}">{}</a>',
            reverse("admin:controlplane_modelversion_change", args=[subject.version_id]),
            subject.version,
        )  # fmt: skip
        return [
            (_("version"), version),
            (_("engine"), subject.get_flavour_display()),
            (_("where it runs"), subject.get_backend_display()),
            (_("served name"), subject.served_name),
            (_("URL"), subject.external_url),
            (_("key"), _("sealed") if subject.external_key else ""),
            (_("TLS"), tls_shown(subject)),
            (_("project"), subject.project or _("the platform")),
            (_("drain time"), gettext("%(number)d s") % {"number": subject.drain_seconds}),
            (_("created"), subject.created_at),
        ]

    def detail_context(self, request: HttpRequest, subject: Deployment) -> dict[str, Any]:
        return {
            **self.live_context(standing_in(request), subject),
            "live_url": self.link("live", subject.pk),
            "charts": charts.draw(subject),
            "charts_url": self.link("charts", subject.pk),
            "logs": self._logs(subject),
            "events": self._events(subject),
            "engine_env": shown_env(subject),
        }

    def _logs(self, subject: Deployment) -> list[tuple[Replica, str]]:
        if subject.flavour == Flavour.EXTERNAL:
            return []
        return [(it, self.link("log", subject.pk, it.name)) for it in subject.replica_set.order_by("ordinal")]

    def _events(self, subject: Deployment) -> list[tuple[Replica, str]]:
        if subject.backend != Backend.KUBERNETES:
            return []
        return [(it, self.link("events", subject.pk, it.name)) for it in subject.replica_set.order_by("ordinal")]

    def live_context(self, standing: Standing, subject: Deployment) -> dict[str, Any]:
        """What changes by itself, for the page and for its refreshed part."""
        history = access(ReplicaTransition, standing).filter(replica__deployment=subject).select_related("replica")
        return {
            "subject": subject,
            "state": deployment_state(subject),
            "ready": ready_of(subject),
            "replicas": subject.replica_set.order_by("ordinal"),
            "history": history.order_by("-at", "-id")[:HISTORY_SHOWN],
            "routes": access(Route, standing).filter(targets__deployment=subject),
        }

    def live(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """The changing part of the detail page alone."""
        subject = self.find(request, object_id)
        return TemplateResponse(
            request, "console/deployment_live.html", self.live_context(standing_in(request), subject)
        )

    def charts(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """The charts of the last hour alone."""
        subject = self.find(request, object_id)
        return TemplateResponse(request, "console/charts.html", {"charts": charts.draw(subject)})

    def log(self, request: HttpRequest, object_id: str, replica: str) -> JsonResponse:
        """The end of one replica's log: ``{"text": …}``, null when there is none on this machine."""
        subject = self.find(request, object_id)
        found = subject.replica_set.filter(name=replica).first()
        if found is None:
            raise Http404
        return JsonResponse({"text": replica_log.tail(found)})

    def events(self, request: HttpRequest, object_id: str, replica: str) -> JsonResponse:
        """What Kubernetes tells about one replica, a line an event, as the log is answered."""
        subject = self.find(request, object_id)
        found = subject.replica_set.filter(name=replica).first()
        if found is None:
            raise Http404
        return JsonResponse({"text": _event_lines(found)})

    def verb_done(self, request: HttpRequest, verb: Verb, result: Deployment) -> HttpResponse:
        if verb.name != "delete":
            return super().verb_done(request, verb, result)
        messages.success(request, verb.done % {"name": result.name})
        return HttpResponseRedirect(self.link("changelist"))
