from typing import Any

from django.db import transaction

from audit.operations import Operation
from audit.record import Actor, record
from controlplane.actions import thresholds
from controlplane.actions.base import difference, project_name, snapshot, target_of
from controlplane.models import AlertRule
from controlplane.permissions import Permission, require

CHANGEABLE = frozenset(
    {
        "name", "metric", "aggregation", "window_seconds", "comparison", "threshold", "min_requests",
        "for_seconds", "keep_firing_seconds", "repeat_seconds", "severity", "route", "deployment", "advice", "enabled",
    }
)  # fmt: skip


@transaction.atomic
def change_alert_rule(rule: AlertRule, *, actor: Actor, reason: str = "", **fields: Any) -> AlertRule:
    """Give it other values; open alerts are judged by them from the next tick on. Switched off, its alerts end."""
    require(actor, Permission.ALERT_RULE_CHANGE, rule.project)
    if unknown := fields.keys() - CHANGEABLE:
        raise TypeError(f"not changeable: {', '.join(sorted(unknown))}")
    before = snapshot(rule, fields)
    for name, value in fields.items():
        setattr(rule, name, value)
    thresholds.check(rule)
    if changes := difference(before, snapshot(rule, fields)):
        if changes.keys() & {"name", "advice"}:
            rule.preset = ""  # it now says something of its own
        rule.save()
        record(
            Operation.ALERT_RULE_CHANGED, actor=actor, target=target_of(rule), project=project_name(rule.project),
            reason=reason, changes=changes,
        )  # fmt: skip
    return rule
