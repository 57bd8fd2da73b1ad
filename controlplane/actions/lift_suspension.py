from django.db import transaction
from django.utils import timezone

from audit.operations import Operation
from audit.record import Actor, Target, record
from controlplane.actions.base import require_reason
from controlplane.models import Suspension, WatchedAct
from controlplane.permissions import Permission, require


@transaction.atomic
def lift_suspension(suspension: Suspension, *, actor: Actor, reason: str) -> Suspension:
    """Let somebody in again before their time, and count what they did anew."""
    require(actor, Permission.USER_CHANGE)
    require_reason(reason)
    suspension = Suspension.objects.select_for_update().get(pk=suspension.pk)
    if suspension.lifted_at is None:
        suspension.lifted_at, suspension.lifted_by = timezone.now(), actor.name
        suspension.save(update_fields=["lifted_at", "lifted_by", "updated_at"])
        whose = {"actor_type": suspension.actor_type, "actor_id": suspension.actor_id}
        WatchedAct.objects.filter(rule=suspension.rule, **whose).delete()
        record(
            Operation.SUSPENSION_LIFTED, actor=actor, kind="security", reason=reason,
            target=Target(suspension.actor_type, suspension.actor_id, suspension.actor_name),
            detail={"rule": suspension.rule, "suspension": str(suspension.pk)},
        )  # fmt: skip
    return suspension
