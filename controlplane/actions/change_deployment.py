from typing import Any

from django.db import transaction

from audit.operations import Operation
from audit.record import Actor, record
from controlplane import publish
from controlplane.actions import drafts
from controlplane.actions.base import project_name, reconcile_on_commit, target_of
from controlplane.actions.masking import masked_changes
from controlplane.models import Deployment
from controlplane.permissions import Permission, require


@transaction.atomic
def change_deployment(deployment: Deployment, *, actor: Actor, reason: str = "", **fields: Any) -> Deployment:
    """Order other engines: the reconciler replaces replicas whose specification differs.

    `fields` are some of `drafts.CHANGEABLE`.
    """
    require(actor, Permission.DEPLOYMENT_CHANGE, deployment.project)
    if unknown := fields.keys() - drafts.CHANGEABLE:
        raise TypeError(f"not changeable: {', '.join(sorted(unknown))}")
    deployment = Deployment.objects.select_for_update().get(pk=deployment.pk)
    if changes := drafts.change(deployment, **fields):
        deployment.save()
        record(
            Operation.DEPLOYMENT_CHANGED, actor=actor, target=target_of(deployment), reason=reason,
            project=project_name(deployment.project), changes=masked_changes(changes),
        )  # fmt: skip
        reconcile_on_commit(deployment)
        if changes.keys() & {
            "external_key",
            "tls_ca",
            "tls_verify",
        }:  # no replica is replaced for it, so nobody else would tell
            transaction.on_commit(publish.publish_routes)
    return deployment
