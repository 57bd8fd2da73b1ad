"""A deployment as it would be: checked like the real one, not saved. Actions save drafts, a dry run shows them."""

from datetime import datetime
from typing import Any

from django.utils.translation import gettext as _

from controlplane.actions.base import difference, snapshot, validate
from controlplane.actions.masking import OTHER
from controlplane.engine_options import check_engine_options, check_external_key
from controlplane.engine_secrets import HIDDEN, kept
from controlplane.engine_tls import certificates
from controlplane.errors import Conflict, Invalid
from controlplane.lifecycle import VersionState
from controlplane.models import Deployment, ModelVersion, Project
from controlplane.models.deployments import Backend, Flavour
from controlplane.sealing import reveal, seal

CHANGEABLE = frozenset(
    {
        "version", "engine_args", "engine_env", "external_url", "external_key",
        "tls_ca", "tls_verify", "served_name", "drain_seconds", "kubernetes",
    }
)  # fmt: skip


def new_deployment(
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
    external_key: str = "",
    tls_ca: str = "",
    tls_verify: bool = True,
    served_name: str = "",
    drain_seconds: int = 30,
    kubernetes: dict[str, Any] | None = None,
) -> Deployment:
    """A deployment that is not there yet. Raises `Invalid`, or `Conflict` for a taken name."""
    _check_version_is_theirs(version, project)
    if version.state != VersionState.AVAILABLE:
        raise Invalid(_("The version %(version)s is retired.") % {"version": version}, field="version")
    deployment = Deployment(
        name=name, version=version, project=project, backend=backend, flavour=flavour, replicas=replicas,
        engine_args=engine_args or {}, external_url=external_url,
        tls_ca=certificates(tls_ca), tls_verify=tls_verify,
        served_name=served_name or version.model.name, drain_seconds=drain_seconds, kubernetes=kubernetes or {},
    )  # fmt: skip
    deployment.engine_env = engine_env or {}
    _set_external_key(deployment, external_key)
    _check(deployment)
    return deployment


def change(deployment: Deployment, **fields: Any) -> dict[str, Any]:
    """Give the instance other values, of `CHANGEABLE` and `replicas`. Answers field -> [before, after].

    Raises `Invalid`.
    """
    if unknown := fields.keys() - CHANGEABLE - {"replicas"}:
        raise TypeError(f"not changeable: {', '.join(sorted(unknown))}")
    key_changes = _set_external_key(deployment, fields.pop("external_key")) if "external_key" in fields else {}
    before = snapshot(deployment, fields)
    for name, value in fields.items():
        setattr(deployment, name, _as_kept(deployment, name, value))
    _check_version_is_theirs(deployment.version, deployment.project)
    _check(deployment)
    return difference(before, snapshot(deployment, fields)) | key_changes


def _as_kept(deployment: Deployment, name: str, value: Any) -> Any:
    """The value that is kept for the one that was sent."""
    if name == "tls_ca":
        return certificates(value)
    if name == "engine_env" and isinstance(value, dict):
        return kept(value, deployment.engine_env)
    return value


def _set_external_key(deployment: Deployment, key: str) -> dict[str, Any]:
    """Seal another key. Answers how the register is told of it: never with the key."""
    before = reveal(deployment, "external_key")
    if key == before:
        return {}
    check_external_key(key)
    seal(deployment, "external_key", key)
    return {"external_key": [HIDDEN if before else "", OTHER if before and key else HIDDEN if key else ""]}


def end(deployment: Deployment, now: datetime) -> bool:
    """Mark the instance as ending; False when it was already. Raises `Conflict` while a route leads to it."""
    if target := deployment.targets.select_related("route").first():
        raise Conflict(
            _("The route %(route)s sends traffic to it: change the route first.") % {"route": target.route.name},
            code="in_use",
        )
    if deployment.deleted_at is not None:
        return False
    deployment.deleted_at = now
    return True


def _check_version_is_theirs(version: ModelVersion, project: Project | None) -> None:
    """Raise `Invalid` for a version of another project's model, in the words for one that is not there."""
    if version.model.project_id not in {None, project.pk if project else None}:
        raise Invalid(_("There is no such version for this project."), field="version")


def _check(deployment: Deployment) -> None:
    check_engine_options(deployment)
    validate(deployment)
