"""Limits: how much keys, projects and routes may have."""

from typing import Any

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _

from controlplane.actions.set_limit import authority
from controlplane.admin.base import ConsoleAdmin, Verb
from controlplane.budgets import Standing, standings_of, with_accounts
from controlplane.forms.costs import in_units
from controlplane.forms.limits import ChangeLimitForm, LimitForm, RemoveLimitForm
from controlplane.models import ApiKey, Limit, Project
from controlplane.permissions import Permission


@admin.register(Limit)
class LimitAdmin(ConsoleAdmin):
    read_permission = Permission.LIMIT_READ
    list_display = (
        "shown_subject",
        "shown_kind",
        "requests_per_minute",
        "tokens_per_minute",
        "concurrency",
        "shown_budgets",
        "updated_at",
    )
    list_select_related = ("project", "api_key__project", "route")
    search_fields = ("project__name", "api_key__name", "api_key__key_id", "route__name")
    add_form = LimitForm
    add_permission = Permission.LIMIT_CHANGE
    add_title = _("Set a limit")
    verbs = (
        Verb(
            "change", _("Change"), Permission.LIMIT_CHANGE, ChangeLimitForm, _("The limit of %(name)s was changed."),
            icon="tune",
        ),
        Verb(
            "remove", _("Remove"), Permission.LIMIT_CHANGE, RemoveLimitForm, _("The limit of %(name)s was removed."),
            icon="delete", danger=True, warning=_("Every gateway lets requests through without it within a second."),
        ),
    )  # fmt: skip

    def project_of(self, subject: Limit) -> Project | None:
        return authority(subject.api_key, subject.project, subject.route)

    @admin.display(description=_("who"))
    def shown_subject(self, limit: Limit) -> str:
        return str(limit)

    @admin.display(description=_("kind"))
    def shown_kind(self, limit: Limit) -> Any:
        if limit.api_key is not None:
            return _("key on a route") if limit.route else _("key")
        if limit.project is not None:
            return _("project on a route") if limit.route else _("project")
        return _("route, all callers together")

    def get_queryset(self, request: HttpRequest) -> QuerySet[Limit]:
        return with_accounts(super().get_queryset(request))

    @admin.display(description=_("budgets"))
    def shown_budgets(self, limit: Limit) -> Any:
        return format_html_join("", "{}", ((bar(standing),) for standing in standings_of(limit))) or "—"

    def added(self, request: HttpRequest, result: Limit) -> HttpResponse:
        messages.success(request, _("The limit of %(name)s was changed.") % {"name": result})
        return HttpResponseRedirect(self.link("change", result.pk))

    def facts(self, subject: Limit) -> list[tuple[Any, Any]]:
        return [
            (_("kind"), self.shown_kind(subject)),
            (_("API key"), subject.api_key and link_to_key(subject.api_key)),
            (_("project"), subject.project),
            (_("route"), subject.route),
            (_("requests per minute"), or_unlimited(subject.requests_per_minute)),
            (_("tokens per minute"), or_unlimited(subject.tokens_per_minute)),
            (_("requests at once"), or_unlimited(subject.concurrency)),
            *((DIMENSION_NAMES[standing.dimension], bar(standing)) for standing in standings_of(subject)),
            (_("created"), subject.created_at),
            (_("changed"), subject.updated_at),
        ]

    def verb_done(self, request: HttpRequest, verb: Verb, result: Limit) -> HttpResponse:
        if verb.name != "remove":
            return super().verb_done(request, verb, result)
        messages.success(request, verb.done % {"name": result})
        return HttpResponseRedirect(reverse("admin:controlplane_limit_changelist"))


DIMENSION_NAMES = {
    "tokens_per_day": _("tokens per day"),
    "tokens_per_month": _("tokens per month"),
    "cost_micros_per_day": _("cost per day"),
    "cost_micros_per_month": _("cost per month"),
}


def bar(standing: Standing) -> SafeString:
    """How much of a budget is spent, drawn and in numbers."""
    spent, amount = ((in_units(number) if standing.is_cost else number) for number in (standing.spent, standing.amount))
    told = _("%(spent)s of %(amount)s spent") % {"spent": spent, "amount": amount}
    return format_html(
        '<span class="sb-budget"><progress max="100" value="{}" aria-label="{}"></progress> {}</span>',
        standing.percent, DIMENSION_NAMES[standing.dimension], told,
    )  # fmt: skip


def or_unlimited(number: int | None) -> Any:
    return _("unlimited") if number is None else number


def link_to_key(key: ApiKey) -> SafeString:
    return format_html('<a href="{}">{}</a>', reverse("admin:controlplane_apikey_change", args=(key.pk,)), key)


def limits_of(key: ApiKey) -> Any:
    """What a key may have, in a line for each of its limits; none says so."""
    lines = [_line(limit) for limit in key.limits.select_related("route")]
    return format_html("<br>".join("{}" for _line_ in lines), *lines) if lines else _("unlimited")


def _line(limit: Limit) -> SafeString:
    numbers = (
        (_("%(number)s requests/min"), limit.requests_per_minute),
        (_("%(number)s tokens/min"), limit.tokens_per_minute),
        (_("%(number)s at once"), limit.concurrency),
        (_("%(number)s tokens/day"), limit.tokens_per_day),
        (_("%(number)s tokens/month"), limit.tokens_per_month),
        (_("cost %(number)s/day"), _units(limit.cost_micros_per_day)),
        (_("cost %(number)s/month"), _units(limit.cost_micros_per_month)),
    )
    told = " · ".join(str(text % {"number": number}) for text, number in numbers if number is not None)
    where = f"{limit.route}: " if limit.route else ""
    return format_html(
        '<a href="{}">{}{}</a>', reverse("admin:controlplane_limit_change", args=(limit.pk,)), where, told
    )


def _units(micros: int | None) -> Any:
    return None if micros is None else in_units(micros)
