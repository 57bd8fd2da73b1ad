from django.db import transaction
from django.utils import timezone

from audit.operations import Operation
from audit.record import Actor, record
from controlplane.actions import drafts
from controlplane.actions.base import project_name, reconcile_on_commit, require_reason, target_of
from controlplane.models import Deployment
from controlplane.permissions import Permission, require


@transaction.atomic
def delete_deployment(deployment: Deployment, *, actor: Actor, reason: str) -> Deployment:
    """Order the end of a deployment: the reconciler drains its engines, then removes it. Refused while routed to."""
    require(actor, Permission.DEPLOYMENT_DELETE, deployment.project)
    require_reason(reason)
    deployment = Deployment.objects.select_for_update().get(pk=deployment.pk)
    if drafts.end(deployment, timezone.now()):
        deployment.save(update_fields=["deleted_at", "updated_at"])
        record(
            Operation.DEPLOYMENT_DELETED, actor=actor, target=target_of(deployment), reason=reason,
            project=project_name(deployment.project),
        )  # fmt: skip
        reconcile_on_commit(deployment)
    return deployment
