from typing import Any

from django.db import transaction

from audit.operations import Operation
from audit.record import Actor, record
from controlplane.actions import thresholds
from controlplane.actions.base import project_name, target_of
from controlplane.models import AlertRule, Project
from controlplane.permissions import Permission, require

TOLD = (
    "metric", "aggregation", "comparison", "threshold", "window_seconds", "min_requests", "for_seconds", "severity",
)  # fmt: skip


@transaction.atomic
def create_alert_rule(*, project: Project | None = None, actor: Actor, reason: str = "", **fields: Any) -> AlertRule:
    """A threshold, watched from the next tick on. `fields` are those of `AlertRule`."""
    require(actor, Permission.ALERT_RULE_CREATE, project)
    rule = AlertRule(project=project, **fields)
    thresholds.check(rule)
    rule.save()
    record(
        Operation.ALERT_RULE_CREATED, actor=actor, target=target_of(rule), project=project_name(project),
        reason=reason, detail={name: getattr(rule, name) for name in TOLD},
    )  # fmt: skip
    return rule
