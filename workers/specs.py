"""From a deployment's row to the specifications of its replicas."""

from typing import Any

from django.conf import settings

from controlplane.models import Deployment
from controlplane.models.deployments import Backend, Flavour
from controlplane.sealing import reveal
from inference.contract.keys import engine_key
from workers.engines.spec import ReplicaSpec


def replica_name(deployment: Deployment, ordinal: int) -> str:
    """Unique over all deployments: what stands behind the last hyphen is always the ordinal."""
    return f"{deployment.name}-{ordinal}"


def ordinal_of(name: str) -> int:
    return int(name.rpartition("-")[2])


def specs_of(deployment: Deployment) -> list[ReplicaSpec]:
    """One specification a replica; none for a deployment that is being deleted.

    Raises `Unopenable` when its secrets cannot be read: without them the engine would be another one.
    """
    if deployment.deleted_at:
        return []
    return [_spec(deployment, ordinal) for ordinal in range(deployment.replicas)]


def _spec(deployment: Deployment, ordinal: int) -> ReplicaSpec:
    name = replica_name(deployment, ordinal)
    external = deployment.flavour == Flavour.EXTERNAL
    return ReplicaSpec(
        name=name,
        deployment=deployment.name,
        flavour=deployment.flavour,
        source=deployment.version.source,
        served_name=deployment.served_name,
        engine_args=deployment.engine_args,
        engine_env=deployment.engine_env,
        max_model_len=deployment.version.max_model_len,
        drain_seconds=deployment.drain_seconds,
        external_url=deployment.external_url,
        engine_key=reveal(deployment, "external_key") if external else engine_key(settings.SECRET_KEY, name),
        kubernetes=_pod_options(deployment),
    )


def _pod_options(deployment: Deployment) -> dict[str, Any] | None:
    """With the image that is meant: another one of the installation is another pod."""
    if deployment.backend != Backend.KUBERNETES:
        return None
    options: dict[str, Any] = {"image": settings.KUBERNETES_IMAGE} | deployment.kubernetes
    return options
