"""``/alert-rules``, ``/alerts`` and ``/silences``."""

from typing import Any
from uuid import UUID

import django_filters
from drf_spectacular.utils import extend_schema, extend_schema_field
from rest_framework import serializers, status
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from audit.showing import Showing
from controlplane.actions.acknowledge_alert import acknowledge_alert
from controlplane.actions.change_alert_rule import change_alert_rule
from controlplane.actions.create_alert_rule import create_alert_rule
from controlplane.actions.create_silence import create_silence
from controlplane.actions.delete_alert_rule import delete_alert_rule
from controlplane.actions.end_silence import end_silence
from controlplane.alerting.metrics import METRICS, Aggregation, Comparison, Severity
from controlplane.api.fields import Body, Choice, Flag, Moment, Number, Reference, Text, Whole
from controlplane.api.nouns import BY_NAME, CREATED_AT, NounViewSet, Shown, name_of, reading
from controlplane.api.preconditions import reason_of
from controlplane.lifecycle import AlertState
from controlplane.models import Alert, AlertRule, Deployment, Project, Route, Silence
from controlplane.models.alerts import DAY, MOST_REQUESTS
from controlplane.roles import Permission

UNITS = "In the metric's unit: seconds, percent (0 to 100), °C, days or a number."


class AlertRuleStatusShown(Showing):
    """How its evaluation went last."""

    state = serializers.CharField()
    message = serializers.CharField()
    since = serializers.DateTimeField()


class AlertRuleShown(Shown):
    name = serializers.CharField()
    project = name_of("project.name")
    metric = serializers.ChoiceField(sorted(METRICS))
    aggregation = serializers.ChoiceField(Aggregation.choices)
    window_seconds = serializers.IntegerField()
    comparison = serializers.ChoiceField(Comparison.choices)
    threshold = serializers.FloatField(help_text=UNITS)
    min_requests = serializers.IntegerField()
    for_seconds = serializers.IntegerField()
    keep_firing_seconds = serializers.IntegerField()
    repeat_seconds = serializers.IntegerField()
    severity = serializers.ChoiceField(Severity.choices)
    route = name_of("route.name")
    deployment = name_of("deployment.name")
    advice = serializers.CharField()
    preset = serializers.CharField(help_text="The shipped rule that it is; empty for your own.")
    enabled = serializers.BooleanField()
    status = serializers.SerializerMethodField(help_text="Null: not evaluated yet.")

    @extend_schema_field(AlertRuleStatusShown(allow_null=True))
    def get_status(self, rule: AlertRule) -> Any:
        found = getattr(rule, "status", None)
        return AlertRuleStatusShown(found).data if found else None


class AlertRuleChange(Body):
    name = Text(max_length=100)
    metric = Choice(sorted(METRICS))
    aggregation = Choice(Aggregation.choices)
    window_seconds = Whole(min_value=30, max_value=DAY, default=300, help_text="How far back samples count.")
    comparison = Choice(Comparison.choices, default=Comparison.ABOVE)
    threshold = Number(help_text=UNITS)
    min_requests = Whole(
        min_value=0, max_value=MOST_REQUESTS, default=0,
        help_text="Fewer in the window are not judged. For shares and percentiles.",
    )  # fmt: skip
    for_seconds = Whole(min_value=0, max_value=7 * DAY, default=120, help_text="It has to hold so long first.")
    keep_firing_seconds = Whole(min_value=0, max_value=7 * DAY, default=300, help_text="And to be well so long.")
    repeat_seconds = Whole(min_value=0, max_value=7 * DAY, default=14_400, help_text="0: an alert is told once.")
    severity = Choice(Severity.choices, default=Severity.WARNING)
    route = Reference(Route, fetched=("project",), allow_null=True, default=None)
    deployment = Reference(Deployment, fetched=("project",), allow_null=True, default=None)
    advice = Text(paragraphs=True, max_length=1000, allow_blank=True, default="", help_text="Goes into messages.")
    enabled = Flag(default=True)


class AlertRuleCreate(AlertRuleChange):
    project = Reference(Project, allow_null=True, default=None, help_text="Null: it watches the whole platform.")


class AlertRuleFilters(django_filters.FilterSet):
    name = django_filters.CharFilter()
    project = django_filters.CharFilter("project__name")
    metric = django_filters.CharFilter()
    severity = django_filters.ChoiceFilter(choices=Severity.choices)
    enabled = django_filters.BooleanFilter()


@extend_schema(tags=["alert-rules"])
class AlertRules(NounViewSet):
    """Thresholds."""

    noun = AlertRule
    fetched = ("project", "route", "deployment", "status")
    permissions = reading(Permission.ALERT_READ) | {
        "create": Permission.ALERT_RULE_CREATE,
        "partial_update": Permission.ALERT_RULE_CHANGE,
        "destroy": Permission.ALERT_RULE_DELETE,
    }
    serializer_class = AlertRuleShown
    filterset_class = AlertRuleFilters
    search_fields = ("name", "metric")
    ordering_fields = BY_NAME

    @extend_schema(request=AlertRuleCreate, responses={201: AlertRuleShown})
    def create(self, request: Request) -> Response:
        """Watch a threshold from the next tick on."""
        fields = self.body(AlertRuleCreate)
        rule = create_alert_rule(reason=reason_of(request, fields), actor=self.actor(), **fields)
        return self.show(rule.pk, status.HTTP_201_CREATED)

    @extend_schema(request=AlertRuleChange, responses=AlertRuleShown)
    def partial_update(self, request: Request, pk: UUID) -> Response:
        """Change it; open alerts are judged by it from the next tick on."""
        fields = self.body(AlertRuleChange, partial=True)
        reason = reason_of(request, fields)
        with self.locked(pk) as rule:
            change_alert_rule(rule, actor=self.actor(), reason=reason, **fields)
        return self.show(pk)

    @extend_schema(request=None, responses={204: None})
    def destroy(self, request: Request, pk: UUID) -> Response:
        """Take it away; its open alerts end. Needs a reason."""
        reason = reason_of(request, self.body(Body), required=True)
        with self.locked(pk) as rule:
            delete_alert_rule(rule, actor=self.actor(), reason=reason)
        return Response(status=status.HTTP_204_NO_CONTENT)


class AlertShown(Shown):
    rule = name_of("rule_name", help_text="The rule's name when it began.")
    rule_id = serializers.UUIDField(allow_null=True)
    project = name_of("project.name")
    subject_kind = serializers.CharField()
    subject = serializers.CharField()
    severity = serializers.ChoiceField(Severity.choices)
    state = serializers.ChoiceField(AlertState.choices)
    reason = serializers.CharField(help_text="Why it is in that state.")
    metric = serializers.CharField()
    aggregation = serializers.CharField()
    window_seconds = serializers.IntegerField()
    comparison = serializers.CharField()
    threshold = serializers.FloatField()
    value = serializers.FloatField(allow_null=True, help_text="When it last moved.")
    began_at = serializers.DateTimeField()
    state_at = serializers.DateTimeField()
    fired_at = serializers.DateTimeField(allow_null=True)
    ended_at = serializers.DateTimeField(allow_null=True)
    notified_at = serializers.DateTimeField(allow_null=True)
    acknowledged_at = serializers.DateTimeField(allow_null=True)
    acknowledged_by = serializers.CharField()


class AlertFilters(django_filters.FilterSet):
    project = django_filters.CharFilter("project__name")
    rule = django_filters.CharFilter("rule_name")
    state = django_filters.ChoiceFilter(choices=AlertState.choices)
    severity = django_filters.ChoiceFilter(choices=Severity.choices)
    open = django_filters.BooleanFilter("ended_at", lookup_expr="isnull")


@extend_schema(tags=["alerts"])
class Alerts(NounViewSet):
    """What fires, and what has fired."""

    noun = Alert
    fetched = ("project",)
    listed = ("project__name",)
    permissions = reading(Permission.ALERT_READ) | {"acknowledge": Permission.ALERT_ACKNOWLEDGE}
    serializer_class = AlertShown
    filterset_class = AlertFilters
    search_fields = ("rule_name", "subject")
    ordering_fields = CREATED_AT
    default_ordering = "-created_at"

    @extend_schema(request=Body, responses=AlertShown)
    @action(detail=True, methods=["post"])
    def acknowledge(self, request: Request, pk: UUID) -> Response:
        """Say that somebody looks after it: it is not told again until it is over."""
        reason = reason_of(request, self.body(Body))
        with self.locked(pk) as alert:
            acknowledge_alert(alert, actor=self.actor(), reason=reason)
        return self.show(pk)


class SilenceShown(Shown):
    project = name_of("project.name")
    rule = name_of("rule.name")
    deployment = name_of("deployment.name")
    starts_at = serializers.DateTimeField()
    ends_at = serializers.DateTimeField()
    comment = serializers.CharField()
    created_by = serializers.CharField()


class SilenceCreate(Body):
    project = Reference(Project, allow_null=True, default=None, help_text="Null: for the whole platform.")
    rule = Reference(AlertRule, fetched=("project",), allow_null=True, default=None, help_text="Null: of any rule.")
    deployment = Reference(Deployment, fetched=("project",), allow_null=True, default=None)
    starts_at = Moment()
    ends_at = Moment()
    comment = Text(max_length=300, help_text="Why it is quiet.")


class SilenceFilters(django_filters.FilterSet):
    project = django_filters.CharFilter("project__name")
    rule = django_filters.CharFilter("rule__name")
    deployment = django_filters.CharFilter("deployment__name")
    ends_after = django_filters.IsoDateTimeFilter("ends_at", lookup_expr="gt")


@extend_schema(tags=["silences"])
class Silences(NounViewSet):
    """Times in which alerts are not told."""

    noun = Silence
    fetched = ("project", "rule", "deployment")
    permissions = reading(Permission.ALERT_READ) | {
        "create": Permission.SILENCE_CREATE,
        "destroy": Permission.SILENCE_END,
    }
    serializer_class = SilenceShown
    filterset_class = SilenceFilters
    ordering_fields = CREATED_AT
    default_ordering = "-created_at"

    @extend_schema(request=SilenceCreate, responses={201: SilenceShown})
    def create(self, request: Request) -> Response:
        """Tell nobody of certain alerts for a while. They go on; what still fires at the end is told then."""
        fields = self.body(SilenceCreate)
        silence = create_silence(reason=reason_of(request, fields), actor=self.actor(), **fields)
        return self.show(silence.pk, status.HTTP_201_CREATED)

    @extend_schema(request=None, responses={200: SilenceShown})
    def destroy(self, request: Request, pk: UUID) -> Response:
        """End it now; its row stays. Needs a reason."""
        reason = reason_of(request, self.body(Body), required=True)
        with self.locked(pk) as silence:
            end_silence(silence, actor=self.actor(), reason=reason)
        return self.show(pk)
