from django.db import transaction

from audit.operations import Operation
from audit.record import Actor, record
from controlplane.actions.base import ending, project_name, require_reason, snapshot, target_of
from controlplane.actions.set_limit import authority, owner, publish_on_commit
from controlplane.models import Limit
from controlplane.models.limits import DIMENSIONS
from controlplane.permissions import Permission, require


@transaction.atomic
def remove_limit(limit: Limit, *, actor: Actor, reason: str) -> None:
    """Let the subject have as much as its other limits allow."""
    require(actor, Permission.LIMIT_CHANGE, authority(limit.api_key, limit.project, limit.route))
    require_reason(reason)
    target, project = target_of(limit), project_name(owner(limit))
    changes = ending(snapshot(limit, DIMENSIONS))
    publish_on_commit(limit)
    limit.delete()
    record(Operation.LIMIT_REMOVED, actor=actor, target=target, project=project, reason=reason, changes=changes)
