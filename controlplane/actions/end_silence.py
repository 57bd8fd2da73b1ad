from django.db import transaction
from django.utils import timezone

from audit.operations import Operation
from audit.record import Actor, record
from controlplane.actions.base import project_name, target_of
from controlplane.models import Silence
from controlplane.permissions import Permission, require


@transaction.atomic
def end_silence(silence: Silence, *, actor: Actor, reason: str = "") -> Silence:
    """End it now; one that has not begun never begins. What fires is told with the next tick."""
    require(actor, Permission.SILENCE_END, silence.project)
    now = timezone.now()
    if silence.ends_at <= now:
        return silence
    before = silence.ends_at
    silence.ends_at = max(now, silence.starts_at)
    silence.save()
    record(
        Operation.SILENCE_ENDED, actor=actor, target=target_of(silence), project=project_name(silence.project),
        reason=reason, changes={"ends_at": [before.isoformat(), silence.ends_at.isoformat()]},
    )  # fmt: skip
    return silence
