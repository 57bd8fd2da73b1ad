from django.db import transaction

from audit.operations import Operation
from audit.record import Actor, record
from controlplane.actions.base import project_name, require_reason, target_of
from controlplane.models import Channel
from controlplane.permissions import Permission, require


@transaction.atomic
def delete_channel(channel: Channel, *, actor: Actor, reason: str) -> None:
    """Take it away with its log of deliveries; what still waits for it is told to nobody there."""
    require(actor, Permission.CHANNEL_DELETE, channel.project)
    require_reason(reason)
    target, project, waiting = target_of(channel), project_name(channel.project), channel.notices.filter(delivery=None)
    detail = {"url": channel.shown_url, "waiting": waiting.count()}
    channel.delete()
    record(Operation.CHANNEL_DELETED, actor=actor, target=target, project=project, reason=reason, detail=detail)
