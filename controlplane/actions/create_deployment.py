from typing import Any

from django.db import transaction

from audit.operations import Operation
from audit.record import Actor, record
from controlplane.actions import drafts
from controlplane.actions.base import project_name, reconcile_on_commit, target_of
from controlplane.actions.masking import masked_args, masked_env
from controlplane.engine_secrets import HIDDEN
from controlplane.engine_tls import tls_facts
from controlplane.models import Deployment, DeploymentStatus, ModelVersion, Project
from controlplane.permissions import Permission, require


@transaction.atomic
def create_deployment(
    *,
    name: str,
    version: ModelVersion,
    project: Project | None = None,
    actor: Actor,
    reason: str = "",
    **fields: Any,
) -> Deployment:
    """Order engines for a version; the reconciler starts them. `fields`: see `drafts.new_deployment`."""
    require(actor, Permission.DEPLOYMENT_CREATE, project)
    deployment = drafts.new_deployment(name=name, version=version, project=project, **fields)
    deployment.save()
    DeploymentStatus.objects.create(deployment=deployment)
    record(
        Operation.DEPLOYMENT_CREATED, actor=actor, target=target_of(deployment), project=project_name(project),
        reason=reason,
        detail={
            "version": str(version), "backend": deployment.backend, "flavour": deployment.flavour,
            "replicas": deployment.replicas, "engine_args": masked_args(deployment.engine_args),
            "engine_env": masked_env(deployment.engine_env), "external_url": deployment.external_url,
            "external_key": HIDDEN if deployment.external_key else "",
            "served_name": deployment.served_name, "drain_seconds": deployment.drain_seconds,
            "kubernetes": deployment.kubernetes, **tls_facts(deployment),
        },
    )  # fmt: skip
    reconcile_on_commit(deployment)
    return deployment
