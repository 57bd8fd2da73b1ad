from django.conf import settings
from django.db import transaction
from django.utils import timezone

from audit.operations import Operation
from audit.record import Actor, Target, record
from audit.watch import Verdict
from controlplane.actors import SYSTEM
from controlplane.models import Suspension


@transaction.atomic
def suspend_actor(whom: Actor, *, verdict: Verdict) -> Suspension | None:
    """The guard's answer to what is abnormal: nothing is let in from this person or machine for a while.

    Asked by nobody, so it asks for no permission. None when they are suspended already.
    """
    kind, key, name = whom.type, whom.id, whom.name
    threshold, now = verdict.threshold, timezone.now()
    if threshold is None or Suspension.objects.active(now).filter(actor_type=kind, actor_id=key).exists():
        return None
    suspension = Suspension.objects.create(
        actor_type=kind, actor_id=key, actor_name=name, rule=verdict.rule, count=verdict.count, most=threshold.most,
        window_seconds=int(threshold.window.total_seconds()), until=now + settings.GUARD_SUSPENSION,
    )  # fmt: skip
    record(
        Operation.ACTOR_SUSPENDED, actor=SYSTEM, target=Target(kind, key, name), kind="security", status=verdict.reason,
        detail={
            "rule": verdict.rule.value, "count": verdict.count, "most": threshold.most,
            "window_seconds": suspension.window_seconds, "until": suspension.until.isoformat(),
            "suspension": str(suspension.pk),
        },
    )  # fmt: skip
    return suspension
