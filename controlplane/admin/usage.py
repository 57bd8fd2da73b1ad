"""What was used, by day: sums at the top of the page, and the rows that they are made of."""

from collections.abc import Callable
from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _
from unfold.contrib.filters.admin import RangeDateFilter

from audit.filters import exact
from controlplane import usage
from controlplane.admin.base import ConsoleAdmin
from controlplane.forms.costs import in_units
from controlplane.models import Project, Usage
from controlplane.roles import Permission
from controlplane.usage import By

GROUPS_SHOWN = 31
BY = {
    By.DAY: _("day"), By.PROJECT: _("project"), By.API_KEY: _("API key"), By.ROUTE: _("route"),
    By.VERSION: _("model version"),
}  # fmt: skip


class ByFilter(admin.SimpleListFilter):
    """What the sums are by; it narrows nothing."""

    title = _("sums by")
    parameter_name = "by"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        del request, model_admin
        return [(by.value, label) for by, label in BY.items()]

    def queryset(self, request: HttpRequest, queryset: Any) -> Any:
        del request
        return queryset

    @property
    def chosen(self) -> By:
        value = self.value()
        return By(value) if value in list(By) else By.DAY


def number(value: int) -> SafeString:
    return format_html('<span class="sb-number">{}</span>', f"{value:,}")


def by(column: str) -> Callable[[Any, str], Any]:
    """Rows that have exactly this text there."""
    return lambda rows, text: rows.filter(**{column: text})


@admin.register(Usage)
class UsageAdmin(ConsoleAdmin):
    read_permission = Permission.USAGE_READ
    list_display = (
        "day", "shown_project", "shown_key", "route", "version", "shown_requests", "shown_failed", "shown_prompt",
        "shown_completion", "shown_cost",
    )  # fmt: skip
    list_filter = (
        ("day", RangeDateFilter), ByFilter, exact(_("project"), "of_project", by("project_name")),
        exact(_("API key"), "of_key", by("key_id")), exact(_("route"), "of_route", by("route")),
        exact(_("model version"), "of_version", by("version")),
    )  # fmt: skip
    list_before_template = "console/usage_sums.html"

    def project_of(self, subject: Usage) -> Project | None:
        return subject.project

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        page: HttpResponse = super().changelist_view(request, extra_context)
        context = getattr(page, "context_data", None)
        if context and "cl" in context:
            context |= _sums(context["cl"], request)
        return page

    @admin.display(description=_("project"), ordering="project_name")
    def shown_project(self, row: Usage) -> str:
        return row.project_name

    @admin.display(description=_("key"), ordering="key_name")
    def shown_key(self, row: Usage) -> SafeString:
        return format_html("{} <code>{}</code>", row.key_name, row.key_id)

    @admin.display(description=_("requests"), ordering="requests")
    def shown_requests(self, row: Usage) -> SafeString:
        return number(row.requests)

    @admin.display(description=_("failed"), ordering="failed")
    def shown_failed(self, row: Usage) -> SafeString:
        return number(row.failed)

    @admin.display(description=_("prompt tokens"), ordering="prompt_tokens")
    def shown_prompt(self, row: Usage) -> SafeString:
        return number(row.prompt_tokens)

    @admin.display(description=_("completion tokens"), ordering="completion_tokens")
    def shown_completion(self, row: Usage) -> SafeString:
        return number(row.completion_tokens)

    @admin.display(description=_("cost"), ordering="cost_micros")
    def shown_cost(self, row: Usage) -> SafeString:
        return format_html('<span class="sb-number">{}</span>', f"{in_units(row.cost_micros):f}")

    def facts(self, subject: Usage) -> list[tuple[Any, Any]]:
        return [
            (_("day"), subject.day),
            (_("project"), subject.project_name),
            (_("key"), self.shown_key(subject)),
            (_("route"), subject.route),
            (_("model version"), subject.version),
            (_("requests"), self.shown_requests(subject)),
            (_("failed"), self.shown_failed(subject)),
            (_("prompt tokens"), self.shown_prompt(subject)),
            (_("completion tokens"), self.shown_completion(subject)),
            (_("cost"), self.shown_cost(subject)),
        ]

    def story(self, request: HttpRequest, subject: Any) -> str:
        """The register knows requests, not sums of them."""
        del request, subject
        return ""


def _sums(changes: Any, request: HttpRequest) -> dict[str, Any]:
    """The groups that are shown, over what the filters left; without a day among them, over the usual span."""
    summed_by = next(it.chosen for it in changes.filter_specs if isinstance(it, ByFilter))
    rows: QuerySet[Usage] = changes.queryset
    usual = not any(name.startswith("day_") and value for name, value in request.GET.items())
    if usual:
        rows = rows.filter(day__gte=usage.since(timezone.localdate()))
    groups = usage.totals(rows, summed_by)
    shown = groups[-GROUPS_SHOWN:][::-1] if summed_by is By.DAY else groups[:GROUPS_SHOWN]
    for group in shown:
        group["cost"] = f"{in_units(group['cost_micros']):f}"
    return {
        "sums": shown, "sums_by": BY[summed_by], "sums_usual": usual, "sums_left_out": len(groups) - len(shown),
        "most_requests": max((group["requests"] for group in shown), default=0) or 1,
    }  # fmt: skip
