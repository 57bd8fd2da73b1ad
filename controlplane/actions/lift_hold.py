from django.db import transaction

from audit.models import Hold
from audit.operations import Operation
from audit.record import Actor, Target, record
from controlplane.actions.base import require_reason
from controlplane.permissions import Permission, require


@transaction.atomic
def lift_hold(hold: Hold, *, actor: Actor, reason: str) -> None:
    """Let the months that it kept go again, as their age says."""
    require(actor, Permission.AUDIT_HOLD_LIFT)
    require_reason(reason)
    key, of, name = hold.pk, hold.of, hold.name
    hold.delete()
    record(
        Operation.REGISTER_HOLD_LIFTED, actor=actor, target=Target(of, name, name), kind="security", reason=reason,
        project=name if of == Hold.Of.PROJECT else "",
        detail={"hold": key, "placed_by": hold.placed_by, "placed_for": hold.reason},
    )  # fmt: skip
