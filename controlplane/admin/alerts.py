"""Alerts: what fires, the rules behind it, and the times in which nobody is told."""

from typing import Any

from django.contrib import admin, messages
from django.db.models import F, QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _

from controlplane.admin.base import ConsoleAdmin, Verb
from controlplane.alerting.metrics import METRICS, Aggregation, Metric, written
from controlplane.alerting.presets import advice_of, name_of
from controlplane.badges import badge
from controlplane.forms.alerts import (
    AcknowledgeForm,
    AlertRuleForm,
    ChangeAlertRuleForm,
    DeleteAlertRuleForm,
    EndSilenceForm,
    SilenceForm,
)
from controlplane.models import Alert, AlertRule, Silence
from controlplane.permissions import Permission

HISTORY_SHOWN = 50
TABS = "console/alert_tabs.html"


def condition(thing: Alert | AlertRule) -> str:
    """``P99 of time to first token > 5 s``, of a rule or an alert."""
    metric: Metric = METRICS[thing.metric]
    how = f"{Aggregation(thing.aggregation).label} · " if metric.series else ""
    return f"{how}{metric.label} {thing.comparison} {written(thing.threshold, metric.unit)}"


@admin.register(Alert)
class AlertAdmin(ConsoleAdmin):
    read_permission = Permission.ALERT_READ
    list_display = ("shown_rule", "subject", "shown_severity", "shown_state", "shown_value", "began_at", "ended_at")
    list_select_related = ("project",)
    list_filter = ("state", "severity", ("ended_at", admin.EmptyFieldListFilter))
    list_before_template = TABS
    search_fields = ("rule_name", "subject")
    detail_template = "console/alert.html"
    verbs = (
        Verb(
            "acknowledge", _("Acknowledge"), Permission.ALERT_ACKNOWLEDGE, AcknowledgeForm,
            _("%(name)s was acknowledged."), icon="done", warning=_("It is not told again until it is over."),
            offered=lambda it: it.ended_at is None and it.acknowledged_at is None,
        ),
    )  # fmt: skip

    def get_queryset(self, request: HttpRequest) -> QuerySet[Alert]:
        found: QuerySet[Alert] = super().get_queryset(request)
        return found.select_related("project")

    def get_ordering(self, request: HttpRequest) -> tuple[Any, ...]:
        """What is open first."""
        del request
        return F("ended_at").desc(nulls_first=True), "-began_at"

    @admin.display(description=_("rule"), ordering="rule_name")
    def shown_rule(self, alert: Alert) -> str:
        return name_of(alert)

    @admin.display(description=_("severity"), ordering="severity")
    def shown_severity(self, alert: Alert) -> SafeString:
        return badge(alert.severity, alert.get_severity_display())

    @admin.display(description=_("state"), ordering="state")
    def shown_state(self, alert: Alert) -> SafeString:
        return badge(alert.state, alert.get_state_display())

    @admin.display(description=_("value"), ordering="value")
    def shown_value(self, alert: Alert) -> str:
        return written(alert.value, METRICS[alert.metric].unit)

    def facts(self, subject: Alert) -> list[tuple[Any, Any]]:
        return [
            (_("state"), self.shown_state(subject)),
            (_("severity"), self.shown_severity(subject)),
            (_("what"), subject.subject),
            (_("condition"), condition(subject)),
            (_("value"), self.shown_value(subject)),
            (_("since"), subject.began_at),
            (_("fired"), subject.fired_at),
            (_("ended"), subject.ended_at),
            (_("told"), subject.notified_at),
            (_("acknowledged"), subject.acknowledged_at),
            (_("acknowledged by"), subject.acknowledged_by),
            (_("project"), subject.project or _("the platform")),
            (_("what to do"), advice_of(subject)),
        ]

    def detail_context(self, request: HttpRequest, subject: Alert) -> dict[str, Any]:
        del request
        told = subject.notices.select_related("channel", "delivery").order_by("-id")[:HISTORY_SHOWN]
        unit = METRICS[subject.metric].unit
        history = [(line, written(line.value, unit)) for line in subject.history.order_by("-at", "-id")[:HISTORY_SHOWN]]
        return {"heading": f"{name_of(subject)}: {subject.subject}", "history": history, "told": told}


def _deleted(page: ConsoleAdmin, request: HttpRequest, verb: Verb, result: Any) -> HttpResponse:
    messages.success(request, verb.done % {"name": result})
    return HttpResponseRedirect(page.link("changelist"))


@admin.register(AlertRule)
class AlertRuleAdmin(ConsoleAdmin):
    read_permission = Permission.ALERT_READ
    list_display = ("shown_name", "shown_condition", "shown_severity", "shown_status", "shown_project", "shown_enabled")
    list_select_related = ("project", "status")
    list_filter = ("severity", "enabled")
    list_before_template = TABS
    search_fields = ("name", "metric")
    add_form = AlertRuleForm
    add_permission = Permission.ALERT_RULE_CREATE
    add_title = _("New alert rule")
    verbs = (
        Verb(
            "change", _("Change"), Permission.ALERT_RULE_CHANGE, ChangeAlertRuleForm, _("%(name)s was changed."),
            icon="tune", warning=_("Open alerts are judged by it from the next tick on."),
        ),
        Verb(
            "delete", _("Delete"), Permission.ALERT_RULE_DELETE, DeleteAlertRuleForm, _("%(name)s was deleted."),
            icon="delete", danger=True, warning=_("Its open alerts end; the past ones stay."),
        ),
    )  # fmt: skip

    def get_queryset(self, request: HttpRequest) -> QuerySet[AlertRule]:
        found: QuerySet[AlertRule] = super().get_queryset(request)
        return found.select_related("project", "status", "route", "deployment")

    @admin.display(description=_("name"), ordering="name")
    def shown_name(self, rule: AlertRule) -> str:
        return name_of(rule)

    @admin.display(description=_("condition"))
    def shown_condition(self, rule: AlertRule) -> str:
        return condition(rule)

    @admin.display(description=_("severity"), ordering="severity")
    def shown_severity(self, rule: AlertRule) -> SafeString:
        return badge(rule.severity, rule.get_severity_display())

    @admin.display(description=_("state"))
    def shown_status(self, rule: AlertRule) -> Any:
        found = getattr(rule, "status", None)
        if not rule.enabled or found is None:
            return "—"
        return format_html("{} {}", badge(found.state, found.get_state_display()), found.message)

    @admin.display(description=_("project"), ordering="project__name")
    def shown_project(self, rule: AlertRule) -> Any:
        return rule.project or _("the platform")

    @admin.display(description=_("enabled"), ordering="enabled", boolean=True)
    def shown_enabled(self, rule: AlertRule) -> bool:
        return rule.enabled

    def verb_done(self, request: HttpRequest, verb: Verb, result: AlertRule) -> HttpResponse:
        return _deleted(self, request, verb, result) if verb.name == "delete" else super().verb_done(
            request, verb, result
        )  # fmt: skip

    def facts(self, subject: AlertRule) -> list[tuple[Any, Any]]:
        seconds = _("%(n)s s")
        return [
            (_("condition"), condition(subject)),
            (_("state"), self.shown_status(subject)),
            (_("severity"), self.shown_severity(subject)),
            (_("window"), seconds % {"n": subject.window_seconds} if subject.watched.series else ""),
            (_("requests at least"), subject.min_requests or ""),
            (_("for"), seconds % {"n": subject.for_seconds}),
            (_("keep firing for"), seconds % {"n": subject.keep_firing_seconds}),
            (_("repeat"), seconds % {"n": subject.repeat_seconds} if subject.repeat_seconds else _("once")),
            (_("project"), subject.project or _("the platform")),
            (_("route"), subject.route),
            (_("deployment"), subject.deployment),
            (_("what to do"), advice_of(subject)),
            (_("enabled"), _("yes") if subject.enabled else _("no")),
        ]

    def detail_context(self, request: HttpRequest, subject: AlertRule) -> dict[str, Any]:
        del request
        return {"heading": name_of(subject)}


@admin.register(Silence)
class SilenceAdmin(ConsoleAdmin):
    read_permission = Permission.ALERT_READ
    list_display = ("comment", "shown_what", "starts_at", "ends_at", "created_by")
    list_select_related = ("project", "rule", "deployment")
    list_before_template = TABS
    search_fields = ("comment", "created_by")
    add_form = SilenceForm
    add_permission = Permission.SILENCE_CREATE
    add_title = _("New silence")
    verbs = (
        Verb(
            "end", _("End now"), Permission.SILENCE_END, EndSilenceForm, _("The silence has ended: %(name)s."),
            icon="notifications_active", danger=True, offered=lambda it: it.ends_at > timezone.now(),
            warning=_("What fires is told with the next tick."),
        ),
    )  # fmt: skip

    def get_queryset(self, request: HttpRequest) -> QuerySet[Silence]:
        found: QuerySet[Silence] = super().get_queryset(request)
        return found.select_related("project", "rule", "deployment")

    @admin.display(description=_("silenced"))
    def shown_what(self, silence: Silence) -> Any:
        named = [name_of(silence.rule)] if silence.rule else []
        named += [str(it) for it in (silence.deployment, silence.project) if it]
        return " · ".join(named) or _("everything")

    def facts(self, subject: Silence) -> list[tuple[Any, Any]]:
        return [
            (_("silenced"), self.shown_what(subject)),
            (_("from"), subject.starts_at),
            (_("until"), subject.ends_at),
            (_("created by"), subject.created_by),
        ]
