"""Forms of alerts: rules, acknowledging, silences."""

from datetime import timedelta
from typing import Any

from django import forms
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from audit.record import Actor
from controlplane.actions.acknowledge_alert import acknowledge_alert
from controlplane.actions.change_alert_rule import change_alert_rule
from controlplane.actions.create_alert_rule import create_alert_rule
from controlplane.actions.create_silence import create_silence
from controlplane.actions.delete_alert_rule import delete_alert_rule
from controlplane.actions.end_silence import end_silence
from controlplane.alerting.metrics import METRICS, Aggregation, Comparison, Severity
from controlplane.models import Alert, AlertRule, Deployment, Project, Route, Silence
from controlplane.models.alerts import DAY, MOST_REQUESTS
from controlplane.roles import Permission

from .base import ActionForm

FIELDS = (
    "name", "metric", "aggregation", "window_seconds", "comparison", "threshold", "min_requests", "for_seconds",
    "keep_firing_seconds", "repeat_seconds", "severity", "route", "deployment", "advice", "enabled",
)  # fmt: skip


def _metrics() -> list[tuple[str, Any]]:
    return [(it.name, f"{it.label} ({it.unit})" if it.unit else it.label) for it in METRICS.values()]


def _seconds(label: Any, initial: int, help_text: Any, lowest: int = 0) -> forms.IntegerField:
    return forms.IntegerField(
        label=label, initial=initial, min_value=lowest, max_value=7 * DAY, help_text=help_text
    )  # fmt: skip


class RuleFieldsForm(ActionForm):
    """What a rule is made of."""

    testid = "alert-rule-form"

    name = forms.CharField(label=_("Name"), max_length=100)
    metric = forms.ChoiceField(label=_("Metric"), choices=_metrics)
    aggregation = forms.ChoiceField(
        label=_("Aggregation"), choices=Aggregation.choices,
        help_text=_("Latencies know percentiles, shares their share, gauges average, lowest, highest and latest."),
    )  # fmt: skip
    window_seconds = forms.IntegerField(
        label=_("Window"),
        initial=300,
        min_value=30,
        max_value=DAY,
        help_text=_("In seconds: how far back samples count."),
    )
    comparison = forms.ChoiceField(label=_("Comparison"), choices=Comparison.choices)
    threshold = forms.FloatField(label=_("Threshold"), help_text=_("In the metric's unit; shares from 0 to 100."))
    min_requests = forms.IntegerField(
        label=_("Requests at least"), required=False, initial=0, min_value=0, max_value=MOST_REQUESTS,
        help_text=_("Fewer in the window are not judged: one failure of one is no rate. For shares and percentiles."),
    )  # fmt: skip
    for_seconds = _seconds(_("For"), 120, _("In seconds: how long it has to hold before it fires."))
    keep_firing_seconds = _seconds(
        _("Keep firing for"), 300, _("In seconds: how long it has to be well again before it is over.")
    )
    repeat_seconds = _seconds(
        _("Repeat"), 14_400, _("In seconds: how often an open alert is told again; 0: once.")
    )  # fmt: skip
    severity = forms.ChoiceField(label=_("Severity"), choices=Severity.choices, initial=Severity.WARNING)
    route = forms.ModelChoiceField(
        Route.objects.none(), label=_("Route"), required=False, empty_label=_("All")
    )  # fmt: skip
    deployment = forms.ModelChoiceField(
        Deployment.objects.none(), label=_("Deployment"), required=False, empty_label=_("All")
    )
    advice = forms.CharField(
        label=_("What to do"), required=False, max_length=1000, widget=forms.Textarea(attrs={"rows": 3}),
        help_text=_("Goes into every message."),
    )  # fmt: skip
    enabled = forms.BooleanField(label=_("Enabled"), required=False, initial=True)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.offer("route", self.seen(Route))
        self.offer("deployment", self.seen(Deployment).filter(deleted_at=None))

    def clean_min_requests(self) -> int:
        return self.cleaned_data["min_requests"] or 0

    @property
    def values(self) -> dict[str, Any]:
        return {name: self.cleaned_data[name] for name in FIELDS}


class AlertRuleForm(RuleFieldsForm):
    """A new rule."""

    project = forms.ModelChoiceField(
        Project.objects.none(), label=_("Project"), required=False, empty_label=_("The whole platform")
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.offer_projects(Permission.ALERT_RULE_CREATE)

    def perform(self, actor: Actor) -> AlertRule:
        return create_alert_rule(project=self.cleaned_data["project"], **self.values, actor=actor, reason=self.why)


class ChangeAlertRuleForm(RuleFieldsForm):
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for name in FIELDS:
            self.fields[name].initial = getattr(self.subject, name)

    def perform(self, actor: Actor) -> AlertRule:
        return change_alert_rule(self.subject, **self.values, actor=actor, reason=self.why)


class DeleteAlertRuleForm(ActionForm):
    testid = "delete-form"
    reason_required = True

    def perform(self, actor: Actor) -> AlertRule:
        delete_alert_rule(self.subject, actor=actor, reason=self.why)
        return self.subject  # type: ignore[no-any-return]


class AcknowledgeForm(ActionForm):
    testid = "acknowledge-form"

    def perform(self, actor: Actor) -> Alert:
        return acknowledge_alert(self.subject, actor=actor, reason=self.why)


class LengthForm(ActionForm):
    """For how long from now on, and why."""

    hours = forms.FloatField(label=_("Hours"), initial=1, min_value=0.05, max_value=24 * 90)
    comment = forms.CharField(label=_("Why it is quiet"), max_length=300)

    def silence(self, actor: Actor, **what: Any) -> Silence:
        now = timezone.now()
        return create_silence(
            starts_at=now, ends_at=now + timedelta(hours=self.cleaned_data["hours"]),
            comment=self.cleaned_data["comment"], actor=actor, reason=self.why, **what,
        )  # fmt: skip


class SilenceForm(LengthForm):
    """A new silence, from now on."""

    testid = "silence-form"

    project = forms.ModelChoiceField(
        Project.objects.none(), label=_("Project"), required=False, empty_label=_("The whole platform")
    )
    rule = forms.ModelChoiceField(AlertRule.objects.none(), label=_("Rule"), required=False, empty_label=_("All"))
    deployment = forms.ModelChoiceField(
        Deployment.objects.none(), label=_("Deployment"), required=False, empty_label=_("All")
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.offer_projects(Permission.SILENCE_CREATE)
        self.offer("rule", self.seen(AlertRule))
        self.offer("deployment", self.seen(Deployment).filter(deleted_at=None))

    def perform(self, actor: Actor) -> Silence:
        values = self.cleaned_data
        return self.silence(actor, project=values["project"], rule=values["rule"], deployment=values["deployment"])


class EndSilenceForm(ActionForm):
    testid = "end-silence-form"
    reason_required = True

    def perform(self, actor: Actor) -> Silence:
        return end_silence(self.subject, actor=actor, reason=self.why)
