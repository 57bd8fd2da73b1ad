from django.db import transaction

from audit.operations import Operation
from audit.record import Actor, record
from controlplane.actions import drafts
from controlplane.actions.base import project_name, reconcile_on_commit, require_reason, target_of
from controlplane.models import Deployment
from controlplane.permissions import Permission, require


@transaction.atomic
def scale_deployment(deployment: Deployment, *, replicas: int, actor: Actor, reason: str = "") -> Deployment:
    """Order another number of replicas; 0 stops all engines, keeps the deployment and needs a reason."""
    require(actor, Permission.DEPLOYMENT_SCALE, deployment.project)
    deployment = Deployment.objects.select_for_update().get(pk=deployment.pk)
    if changes := drafts.change(deployment, replicas=replicas):
        if replicas == 0:
            require_reason(reason)
        deployment.save(update_fields=["replicas", "updated_at"])
        record(
            Operation.DEPLOYMENT_SCALED, actor=actor, target=target_of(deployment), reason=reason,
            project=project_name(deployment.project), changes=changes,
        )  # fmt: skip
        reconcile_on_commit(deployment)
    return deployment
