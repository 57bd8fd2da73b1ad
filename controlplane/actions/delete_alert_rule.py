from django.db import transaction

from audit.operations import Operation
from audit.record import Actor, record
from controlplane.actions.base import ending, project_name, require_reason, snapshot, target_of
from controlplane.actions.change_alert_rule import CHANGEABLE
from controlplane.models import AlertRule
from controlplane.permissions import Permission, require


@transaction.atomic
def delete_alert_rule(rule: AlertRule, *, actor: Actor, reason: str) -> None:
    """Take the rule away; its open alerts end with the next tick, its past ones stay."""
    require(actor, Permission.ALERT_RULE_DELETE, rule.project)
    require_reason(reason)
    target, project = target_of(rule), project_name(rule.project)
    changes = ending(snapshot(rule, CHANGEABLE))
    rule.delete()
    record(
        Operation.ALERT_RULE_DELETED, actor=actor, target=target, project=project, reason=reason, changes=changes
    )  # fmt: skip
