from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from audit.operations import Operation
from audit.record import Actor, record
from controlplane.actions.base import project_name, reconcile_on_commit, require_reason, target_of
from controlplane.errors import Conflict
from controlplane.models import Deployment
from controlplane.permissions import Permission, require


@transaction.atomic
def delete_deployment(deployment: Deployment, *, actor: Actor, reason: str) -> Deployment:
    """Order the end of a deployment: the reconciler drains its engines, then removes it. Refused while routed to."""
    require(actor, Permission.DEPLOYMENT_DELETE, deployment.project)
    require_reason(reason)
    deployment = Deployment.objects.select_for_update().get(pk=deployment.pk)
    if target := deployment.targets.select_related("route").first():
        raise Conflict(
            _("The route %(route)s sends traffic to it: change the route first.") % {"route": target.route.name},
            code="in_use",
        )
    if deployment.deleted_at is None:
        deployment.deleted_at = timezone.now()
        deployment.save(update_fields=["deleted_at", "updated_at"])
        record(
            Operation.DEPLOYMENT_DELETED, actor=actor, target=target_of(deployment), reason=reason,
            project=project_name(deployment.project),
        )  # fmt: skip
        reconcile_on_commit(deployment)
    return deployment
