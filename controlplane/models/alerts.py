"""Alerts: what people set (rules, silences, channels) and what became of it (alerts, deliveries).

Actions write rules, silences, channels, acknowledgements and the order of a test message; all else `monitoring` writes.
"""

from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from controlplane.alerting.addresses import ChannelKind
from controlplane.alerting.metrics import METRICS, Aggregation, Comparison, Metric, Severity
from controlplane.lifecycle import AlertState

from .access import Project
from .base import Line, Noun, Paragraphs
from .deployments import Deployment
from .routes import Route
from .sealed import SealedField

DAY = 86_400
MOST_REQUESTS = 1_000_000
"""that a rule may ask for; more in a window is no floor but a mistake"""
LANGUAGES = (("zh-hans", "简体中文"), ("en", "English"))


def _seconds(name: object, default: int, help_text: object, lowest: int = 0) -> models.PositiveIntegerField:
    limits = [MinValueValidator(lowest), MaxValueValidator(7 * DAY)]
    return models.PositiveIntegerField(name, default=default, help_text=help_text, validators=limits)  # type: ignore[arg-type]


def metric_choices() -> list[tuple[str, object]]:
    """Called anew each time, so that another metric is no migration."""
    return [(it.name, it.label) for it in METRICS.values()]


class AlertRule(Noun):
    """A threshold. With a project it watches only what is the project's."""

    project = models.ForeignKey(
        Project, models.PROTECT, null=True, blank=True, related_name="alert_rules", verbose_name=_("project"),
        help_text=_("Empty: it watches the whole platform."),
    )  # fmt: skip
    name = Line(_("name"), max_length=100)
    metric = models.CharField(_("metric"), max_length=40, choices=metric_choices)
    aggregation = models.CharField(_("aggregation"), max_length=10, choices=Aggregation.choices)
    window_seconds = models.PositiveIntegerField(
        _("window"), default=300, validators=[MinValueValidator(30), MaxValueValidator(DAY)],
        help_text=_("In seconds: how far back samples count."),
    )  # fmt: skip
    comparison = models.CharField(_("comparison"), max_length=2, choices=Comparison.choices, default=Comparison.ABOVE)
    threshold = models.FloatField(_("threshold"))
    min_requests = models.PositiveIntegerField(
        _("requests at least"), default=0, validators=[MaxValueValidator(MOST_REQUESTS)],
        help_text=_("Fewer in the window are not judged: one failure of one is no rate. For shares and percentiles."),
    )  # fmt: skip
    for_seconds = _seconds(_("for"), 120, _("In seconds: how long it has to hold before it fires."))
    keep_firing_seconds = _seconds(
        _("keep firing for"), 300, _("In seconds: how long it has to be well again before it is over.")
    )
    repeat_seconds = _seconds(_("repeat"), 4 * 3600, _("In seconds: how often an open alert is told again; 0: once."))
    severity = models.CharField(_("severity"), max_length=10, choices=Severity.choices, default=Severity.WARNING)
    route = models.ForeignKey(
        Route, models.CASCADE, null=True, blank=True, related_name="alert_rules", verbose_name=_("route")
    )
    deployment = models.ForeignKey(
        Deployment, models.CASCADE, null=True, blank=True, related_name="alert_rules", verbose_name=_("deployment")
    )
    advice = Paragraphs(_("what to do"), blank=True, max_length=1000, help_text=_("Goes into every message."))
    preset = models.CharField(max_length=40, blank=True, editable=False)
    """the slug of the preset that it came from; its name and advice are then told in the reader's language"""
    enabled = models.BooleanField(_("enabled"), default=True)

    class Meta:
        ordering = ("name",)
        constraints = (
            models.UniqueConstraint(
                fields=("project", "name"), nulls_distinct=False, name="alert_rule_name_once_a_project",
                violation_error_message=_("There is a rule of that name already."),
            ),
        )  # fmt: skip
        verbose_name = _("alert rule")
        verbose_name_plural = _("alert rules")

    def __str__(self) -> str:
        return f"{self.name}"

    @property
    def watched(self) -> Metric:
        return METRICS[self.metric]


class AlertRuleStatus(models.Model):
    """How the evaluation of a rule went last. Written by `monitoring` only, when it changes."""

    class State(models.TextChoices):
        OK = "ok", _("Evaluated")
        NO_DATA = "no_data", _("No data")
        ERROR = "error", _("Error")

    rule = models.OneToOneField(AlertRule, models.CASCADE, primary_key=True, related_name="status")
    state = models.CharField(_("state"), max_length=10, choices=State.choices, default=State.OK)
    message = models.TextField(_("message"), blank=True)
    since = models.DateTimeField(_("since"))

    class Meta:
        verbose_name = _("state of an alert rule")
        default_permissions = ()

    def __str__(self) -> str:
        return f"{self.rule_id}: {self.state}"


class Alert(Noun):
    """One episode of one rule on one subject, from pending until it is over; the past ones are kept."""

    rule = models.ForeignKey(
        AlertRule, models.SET_NULL, null=True, related_name="alerts", verbose_name=_("rule"), editable=False
    )
    rule_name = models.CharField(_("rule"), max_length=100)
    preset = models.CharField(max_length=40, blank=True)
    project = models.ForeignKey(
        Project, models.CASCADE, null=True, related_name="alerts", verbose_name=_("project"), editable=False
    )
    fingerprint = models.CharField(max_length=64)
    subject_kind = models.CharField(_("kind"), max_length=20)
    subject = models.CharField(_("what"), max_length=300)
    labels = models.JSONField(default=dict)
    severity = models.CharField(_("severity"), max_length=10, choices=Severity.choices)
    metric = models.CharField(_("metric"), max_length=40)
    aggregation = models.CharField(max_length=10)
    window_seconds = models.PositiveIntegerField()
    comparison = models.CharField(max_length=2)
    threshold = models.FloatField(_("threshold"))
    value = models.FloatField(_("value"), null=True)
    state = models.CharField(_("state"), max_length=12, choices=AlertState.choices)
    reason = models.CharField(_("reason"), max_length=40)
    advice = models.TextField(blank=True)
    began_at = models.DateTimeField(_("since"))
    """since when the condition holds"""
    state_at = models.DateTimeField(_("state since"))
    fired_at = models.DateTimeField(_("fired"), null=True)
    ended_at = models.DateTimeField(_("ended"), null=True)
    notified_at = models.DateTimeField(_("told"), null=True)
    acknowledged_at = models.DateTimeField(_("acknowledged"), null=True)
    acknowledged_by = models.CharField(_("acknowledged by"), max_length=150, blank=True)

    class Meta:
        ordering = ("-created_at",)
        constraints = (
            models.UniqueConstraint(fields=("fingerprint",), condition=Q(ended_at=None), name="alert_open_once"),
        )
        indexes = (
            models.Index(fields=("rule",), condition=Q(ended_at=None), name="alert_open_of_rule"),
            models.Index(fields=("project", "-id"), name="alert_of_project"),
        )
        verbose_name = _("alert")
        verbose_name_plural = _("alerts")

    def __str__(self) -> str:
        return f"{self.rule_name}: {self.subject}"


class AlertTransition(models.Model):
    """One line of an alert's history: at most one a tick, which is what makes it exactly once."""

    id = models.BigAutoField(primary_key=True)
    alert = models.ForeignKey(Alert, models.CASCADE, related_name="history", verbose_name=_("alert"))
    at = models.DateTimeField(_("time"))
    old_state = models.CharField(_("from"), max_length=12, choices=AlertState.choices)
    new_state = models.CharField(_("to"), max_length=12, choices=AlertState.choices)
    reason = models.CharField(_("reason"), max_length=40)
    value = models.FloatField(_("value"), null=True)

    class Meta:
        ordering = ("-at", "-id")
        constraints = (models.UniqueConstraint(fields=("alert", "at"), name="alert_moves_once_a_tick"),)
        verbose_name = _("transition of an alert")
        default_permissions = ()

    def __str__(self) -> str:
        return f"{self.alert_id}: {self.old_state} → {self.new_state}"


class Silence(Noun):
    """A time in which alerts are not told: those of a rule, of a deployment, or all of the project or platform."""

    project = models.ForeignKey(
        Project, models.CASCADE, null=True, blank=True, related_name="silences", verbose_name=_("project"),
        help_text=_("Empty: for the whole platform."),
    )  # fmt: skip
    rule = models.ForeignKey(
        AlertRule, models.CASCADE, null=True, blank=True, related_name="silences", verbose_name=_("rule")
    )
    deployment = models.ForeignKey(
        Deployment, models.CASCADE, null=True, blank=True, related_name="silences", verbose_name=_("deployment")
    )
    starts_at = models.DateTimeField(_("from"))
    ends_at = models.DateTimeField(_("until"))
    comment = Line(_("why"), max_length=300)
    created_by = models.CharField(_("created by"), max_length=150, blank=True, editable=False)

    class Meta:
        ordering = ("-created_at",)
        constraints = (
            models.CheckConstraint(
                condition=Q(ends_at__gte=models.F("starts_at")), name="silence_ends_after_it_starts",
                violation_error_message=_("It has to end after it starts."),
            ),
        )  # fmt: skip
        verbose_name = _("silence")
        verbose_name_plural = _("silences")

    def __str__(self) -> str:
        return f"{self.comment}"


class Channel(Noun):
    """Where alerts are told. The URL of a robot is a secret: it is sealed, and shown masked."""

    project = models.ForeignKey(
        Project, models.PROTECT, null=True, blank=True, related_name="channels", verbose_name=_("project"),
        help_text=_("Empty: it is told the alerts of the whole platform."),
    )  # fmt: skip
    name = Line(_("name"), max_length=100)
    kind = models.CharField(_("kind"), max_length=10, choices=ChannelKind.choices)
    sealed_url = SealedField()
    shown_url = models.CharField(_("URL"), max_length=300, editable=False)
    """with all that is secret masked"""
    sealed_secret = SealedField()
    """what messages are signed with"""
    language = models.CharField(_("language"), max_length=10, choices=LANGUAGES, default="zh-hans")
    min_severity = models.CharField(
        _("from severity"), max_length=10, choices=Severity.choices, default=Severity.INFO,
        help_text=_("Milder alerts are not told here."),
    )  # fmt: skip
    hourly_cap = models.PositiveSmallIntegerField(
        _("messages an hour"), default=120, validators=[MinValueValidator(1), MaxValueValidator(1080)],
        help_text=_("What goes beyond is gathered into the next messages; nothing is left out."),
    )  # fmt: skip
    send_recovery = models.BooleanField(_("tell recoveries"), default=True)
    enabled = models.BooleanField(_("enabled"), default=True)

    class Meta:
        ordering = ("name",)
        constraints = (
            models.UniqueConstraint(
                fields=("project", "name"), nulls_distinct=False, name="channel_name_once_a_project",
                violation_error_message=_("There is a channel of that name already."),
            ),
        )  # fmt: skip
        verbose_name = _("channel")
        verbose_name_plural = _("channels")

    def __str__(self) -> str:
        return f"{self.name}"


class ChannelBreak(models.Model):
    """A channel that refuses for good: it is asked no more until somebody changes it. Written by `monitoring`."""

    channel = models.OneToOneField(Channel, models.CASCADE, primary_key=True, related_name="broken")
    at = models.DateTimeField(_("time"))
    message = models.TextField(_("message"))

    class Meta:
        verbose_name = _("broken channel")
        default_permissions = ()

    def __str__(self) -> str:
        return f"{self.channel_id}: {self.message}"


class DeliveryState(models.TextChoices):
    """One message on its way. Each move is a claim or its end, one UPDATE each (`monitoring.outbox`)."""

    WAITING = "waiting", _("Waiting")
    SENDING = "sending", _("Sending")
    SENT = "sent", _("Sent")
    FAILED = "failed", _("Failed")


class Delivery(Noun):
    """One message to one channel, with what the vendor answered."""

    channel = models.ForeignKey(Channel, models.CASCADE, related_name="deliveries", verbose_name=_("channel"))
    test = models.BooleanField(_("test message"), default=False)
    title = models.CharField(_("message"), max_length=300, blank=True)
    notices = models.PositiveIntegerField(_("alerts told"), default=0)
    state = models.CharField(_("state"), max_length=10, choices=DeliveryState.choices, default=DeliveryState.WAITING)
    reason = models.CharField(_("reason"), max_length=40, blank=True)
    attempts = models.PositiveIntegerField(_("attempts"), default=0)
    maybe_twice = models.BooleanField(_("perhaps sent twice"), default=False)
    """a worker died while it was being sent: nobody knows whether it arrived"""
    due_at = models.DateTimeField(_("due"))
    lease_until = models.DateTimeField(null=True)
    sent_at = models.DateTimeField(_("sent"), null=True)
    status_code = models.PositiveSmallIntegerField(_("status"), null=True)
    answer = models.TextField(_("answer"), blank=True)

    class Meta:
        ordering = ("-created_at",)
        indexes = (
            models.Index(
                fields=("channel", "due_at"), condition=Q(state__in=("waiting", "sending")), name="delivery_open"
            ),
            models.Index(fields=("channel", "-id"), name="delivery_of_channel"),
        )
        verbose_name = _("delivery")
        verbose_name_plural = _("deliveries")

    def __str__(self) -> str:
        return self.title or str(self.pk)


class DeliveryAttempt(models.Model):
    """One try; written before it is made, so that a robot's limit counts those that died as well."""

    id = models.BigAutoField(primary_key=True)
    delivery = models.ForeignKey(Delivery, models.CASCADE, related_name="tries", verbose_name=_("delivery"))
    channel = models.ForeignKey(Channel, models.CASCADE, related_name="tries", verbose_name=_("channel"))
    at = models.DateTimeField(_("time"))
    ended_at = models.DateTimeField(_("ended"), null=True)
    reason = models.CharField(_("reason"), max_length=40, blank=True)
    status_code = models.PositiveSmallIntegerField(_("status"), null=True)
    answer = models.TextField(_("answer"), blank=True)

    class Meta:
        ordering = ("-at", "-id")
        indexes = (models.Index(fields=("channel", "at"), name="delivery_attempt_of_channel"),)
        verbose_name = _("attempt")
        default_permissions = ()

    def __str__(self) -> str:
        return f"{self.delivery_id}: {self.reason}"


class Notice(models.Model):
    """The outbox: that a channel is to be told of an alert. Written in the transaction of what it tells of."""

    class Kind(models.TextChoices):
        FIRING = "firing", _("Firing")
        REPEAT = "repeat", _("Still firing")
        RESOLVED = "resolved", _("Recovered")

    id = models.BigAutoField(primary_key=True)
    alert = models.ForeignKey(Alert, models.CASCADE, related_name="notices", verbose_name=_("alert"))
    channel = models.ForeignKey(Channel, models.CASCADE, related_name="notices", verbose_name=_("channel"))
    kind = models.CharField(max_length=10, choices=Kind.choices)
    at = models.DateTimeField()
    value = models.FloatField(null=True)
    delivery = models.ForeignKey(Delivery, models.SET_NULL, null=True, related_name="told", verbose_name=_("delivery"))

    class Meta:
        indexes = (models.Index(fields=("channel", "id"), condition=Q(delivery=None), name="notice_waiting"),)
        constraints = (models.UniqueConstraint(fields=("alert", "channel", "at"), name="notice_once_a_tick"),)
        verbose_name = _("notice")
        default_permissions = ()

    def __str__(self) -> str:
        return f"{self.alert_id} → {self.channel_id}: {self.kind}"
