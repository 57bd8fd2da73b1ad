from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from audit.operations import Operation
from audit.record import Actor, record
from controlplane.actions.base import project_name, target_of
from controlplane.errors import Conflict
from controlplane.models import Alert
from controlplane.permissions import Permission, require


@transaction.atomic
def acknowledge_alert(alert: Alert, *, actor: Actor, reason: str = "") -> Alert:
    """Somebody looks after it: it is not told again until it is over."""
    require(actor, Permission.ALERT_ACKNOWLEDGE, alert.project)
    now = timezone.now()
    mine = Alert.objects.filter(pk=alert.pk, ended_at=None, acknowledged_at=None)
    if not mine.update(acknowledged_at=now, acknowledged_by=actor.name, updated_at=now):
        alert.refresh_from_db()
        if alert.ended_at is not None:
            raise Conflict(_("It is over already."), code="ended")
        return alert
    record(
        Operation.ALERT_ACKNOWLEDGED, actor=actor, target=target_of(alert), project=project_name(alert.project),
        reason=reason,
    )  # fmt: skip
    alert.refresh_from_db()
    return alert
