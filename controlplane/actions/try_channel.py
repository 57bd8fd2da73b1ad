from django.db import transaction
from django.utils import timezone

from audit.operations import Operation
from audit.record import Actor, record
from controlplane.actions.base import project_name, target_of
from controlplane.models import Channel, Delivery
from controlplane.permissions import Permission, require


@transaction.atomic
def try_channel(channel: Channel, *, actor: Actor, reason: str = "") -> Delivery:
    """Order a test message; the workers send it within seconds, and its delivery says what the vendor answered."""
    require(actor, Permission.CHANNEL_TEST, channel.project)
    delivery = Delivery.objects.create(channel=channel, test=True, due_at=timezone.now())
    record(
        Operation.CHANNEL_TESTED, actor=actor, target=target_of(channel), project=project_name(channel.project),
        reason=reason, detail={"delivery": str(delivery.pk)},
    )  # fmt: skip
    return delivery
