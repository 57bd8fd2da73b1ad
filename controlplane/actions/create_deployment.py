from typing import Any

from django.db import transaction
from django.utils.translation import gettext as _

from audit.operations import Operation
from audit.record import Actor, record
from controlplane.actions.base import project_name, reconcile_on_commit, target_of, validate
from controlplane.engine_options import check_engine_options
from controlplane.errors import Invalid
from controlplane.lifecycle import VersionState
from controlplane.models import Deployment, DeploymentStatus, ModelVersion, Project
from controlplane.models.deployments import Backend, Flavour
from controlplane.permissions import Permission, require


@transaction.atomic
def create_deployment(
    *,
    name: str,
    version: ModelVersion,
    project: Project | None = None,
    backend: str = Backend.PROCESS,
    flavour: str = Flavour.VLLM_CPU,
    replicas: int = 1,
    engine_args: dict[str, Any] | None = None,
    engine_env: dict[str, str] | None = None,
    external_url: str = "",
    served_name: str = "",
    drain_seconds: int = 30,
    actor: Actor,
    reason: str = "",
) -> Deployment:
    """Order engines for a version; the reconciler starts them."""
    require(actor, Permission.DEPLOYMENT_CREATE, project)
    check_version_is_theirs(version, project)
    if version.state != VersionState.AVAILABLE:
        raise Invalid(_("The version %(version)s is retired.") % {"version": version}, field="version")
    deployment = Deployment(
        name=name, version=version, project=project, backend=backend, flavour=flavour, replicas=replicas,
        engine_args=engine_args or {}, engine_env=engine_env or {}, external_url=external_url,
        served_name=served_name or version.model.name, drain_seconds=drain_seconds,
    )  # fmt: skip
    check_engine_options(deployment)
    validate(deployment)
    deployment.save()
    DeploymentStatus.objects.create(deployment=deployment)
    record(
        Operation.DEPLOYMENT_CREATED, actor=actor, target=target_of(deployment), project=project_name(project),
        reason=reason,
        detail={"version": str(version), "backend": backend, "flavour": flavour, "replicas": replicas,
                "engine_args": deployment.engine_args},
    )  # fmt: skip
    reconcile_on_commit(deployment)
    return deployment


def check_version_is_theirs(version: ModelVersion, project: Project | None) -> None:
    """Raise `Invalid` for a version of another project's model, in the words for one that is not there."""
    if version.model.project_id not in {None, project.pk if project else None}:
        raise Invalid(_("There is no such version for this project."), field="version")
