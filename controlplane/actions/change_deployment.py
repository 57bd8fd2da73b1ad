from typing import Any

from django.db import transaction

from audit.operations import Operation
from audit.record import Actor, record
from controlplane.actions.base import (
    difference,
    project_name,
    reconcile_on_commit,
    snapshot,
    target_of,
    validate,
)
from controlplane.actions.create_deployment import check_version_is_theirs
from controlplane.engine_options import check_engine_options
from controlplane.models import Deployment
from controlplane.permissions import Permission, require

CHANGEABLE = frozenset({"version", "engine_args", "engine_env", "external_url", "served_name", "drain_seconds"})


@transaction.atomic
def change_deployment(deployment: Deployment, *, actor: Actor, reason: str = "", **fields: Any) -> Deployment:
    """Order other engines: the reconciler replaces replicas whose specification differs. Fields: `CHANGEABLE`."""
    require(actor, Permission.DEPLOYMENT_CHANGE, deployment.project)
    if unknown := fields.keys() - CHANGEABLE:
        raise TypeError(f"not changeable: {', '.join(sorted(unknown))}")
    deployment = Deployment.objects.select_for_update().get(pk=deployment.pk)
    before = snapshot(deployment, fields)
    for name, value in fields.items():
        setattr(deployment, name, value)
    check_version_is_theirs(deployment.version, deployment.project)
    check_engine_options(deployment)
    validate(deployment)
    if changes := difference(before, snapshot(deployment, fields)):
        deployment.save()
        record(
            Operation.DEPLOYMENT_CHANGED, actor=actor, target=target_of(deployment), reason=reason,
            project=project_name(deployment.project), changes=changes,
        )  # fmt: skip
        reconcile_on_commit(deployment)
    return deployment
