"""Models and their versions."""

from typing import Any

from django.contrib import admin
from django.db.models import Count, OuterRef, QuerySet, Subquery
from django.db.models.functions import Coalesce
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _

from controlplane.access.asking import standing_in
from controlplane.access.lookups import access
from controlplane.admin.base import ConsoleAdmin, Verb, may, may_somewhere
from controlplane.badges import badge
from controlplane.forms.costs import in_units
from controlplane.forms.models import ModelForm, PriceForm, RetireVersionForm, VersionForm
from controlplane.lifecycle import VersionState
from controlplane.models import Deployment, Model, ModelVersion, Project
from controlplane.roles import Permission


@admin.register(Model)
class ModelAdmin(ConsoleAdmin):
    read_permission = Permission.MODEL_READ
    list_display = ("name", "shown_versions", "shown_project", "description", "created_at")
    list_select_related = ("project",)
    search_fields = ("name", "description")
    add_form = ModelForm
    add_permission = Permission.MODEL_CREATE
    add_title = _("New model")
    detail_template = "console/model.html"

    def get_queryset(self, request: HttpRequest) -> QuerySet[Model]:
        found: QuerySet[Model] = super().get_queryset(request)
        return found.annotate(version_count=Count("versions"))

    @admin.display(description=_("versions"), ordering="version_count")
    def shown_versions(self, model: Any) -> int:
        return int(model.version_count)

    @admin.display(description=_("project"), ordering="project__name")
    def shown_project(self, model: Model) -> Any:
        return model.project or _("every project")

    def facts(self, subject: Model) -> list[tuple[Any, Any]]:
        return [
            (_("project"), subject.project or _("every project")),
            (_("description"), subject.description),
            (_("created"), subject.created_at),
        ]

    def buttons(self, request: HttpRequest, subject: Model) -> list[dict[str, Any]]:
        if not may(request, Permission.VERSION_CREATE, subject.project):
            return []
        url = f"{reverse('admin:controlplane_modelversion_add')}?model={subject.pk}"
        return [{"label": _("Add version"), "icon": "add", "name": "add-version", "url": url, "primary": True}]

    def detail_context(self, request: HttpRequest, subject: Model) -> dict[str, Any]:
        mine = access(Deployment, standing_in(request)).filter(version=OuterRef("pk")).order_by()
        count = Subquery(mine.values("version").annotate(count=Count("pk")).values("count"))
        versions = subject.versions.annotate(deployment_count=Coalesce(count, 0))
        return {"versions": versions, "may_deploy": may_somewhere(request, Permission.DEPLOYMENT_CREATE)}


@admin.register(ModelVersion)
class ModelVersionAdmin(ConsoleAdmin):
    read_permission = Permission.MODEL_READ
    list_display = ("shown_name", "shown_state", "source", "max_model_len", "created_at")
    list_display_links = ("shown_name",)
    list_select_related = ("model",)
    list_filter = ("state", ("model", admin.RelatedOnlyFieldListFilter))
    search_fields = ("model__name", "name", "source")
    add_form = VersionForm
    add_permission = Permission.VERSION_CREATE
    add_title = _("New version")
    verbs = (
        Verb(
            "price", _("Set prices"), Permission.VERSION_PRICE, PriceForm, _("The prices of %(name)s were set."),
            icon="payments", on_platform=True,
        ),
        Verb(
            "retire", _("Retire"), Permission.VERSION_RETIRE, RetireVersionForm, _("%(name)s was retired."),
            icon="archive", danger=True, warning=_("No new deployment of this version will be possible."),
            offered=lambda version: version.state == VersionState.AVAILABLE,
        ),
    )  # fmt: skip

    @admin.display(description=_("version"), ordering="model__name")
    def shown_name(self, version: ModelVersion) -> str:
        return str(version)

    @admin.display(description=_("state"), ordering="state")
    def shown_state(self, version: ModelVersion) -> SafeString:
        return badge(version.state, version.get_state_display())

    def project_of(self, subject: ModelVersion) -> Project | None:
        return subject.model.project

    def detail_context(self, request: HttpRequest, subject: ModelVersion) -> dict[str, Any]:
        mine = access(Deployment, standing_in(request)).filter(version=subject).values_list("name", flat=True)
        return {"facts": [*self.facts(subject), (_("deployments"), ", ".join(mine))]}

    def crumbs(self) -> list[tuple[str, str]]:
        return [(str(_("Models")), reverse("admin:controlplane_model_changelist")), *super().crumbs()]

    def facts(self, subject: ModelVersion) -> list[tuple[Any, Any]]:
        url = reverse("admin:controlplane_model_change", args=[subject.model_id])
        model = format_html('<a href="{}">{}</a>', url, subject.model)
        return [
            (_("state"), self.shown_state(subject)),
            (_("model"), model),
            (_("source"), format_html("<code>{}</code>", subject.source)),
            (_("context length"), subject.max_model_len),
            (_("price of prompts"), in_price(subject.prompt_price_micros)),
            (_("price of answers"), in_price(subject.completion_price_micros)),
            (_("created"), subject.created_at),
        ]


def in_price(micros: int) -> Any:
    """A price as people read it."""
    return _("%(price)s a million tokens") % {"price": in_units(micros)} if micros else _("none")
