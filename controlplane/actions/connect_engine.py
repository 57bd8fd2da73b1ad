import hashlib
import re
from typing import Any, NamedTuple

from django.db import transaction
from django.db.models import QuerySet
from django.utils.translation import gettext as _

from audit.record import Actor
from controlplane.actions.change_deployment import change_deployment
from controlplane.actions.create_deployment import create_deployment
from controlplane.actions.create_model import create_model
from controlplane.actions.create_version import create_version
from controlplane.actions.set_route import change_route, create_route
from controlplane.engine_options import check_url
from controlplane.errors import Invalid
from controlplane.models import Deployment, Model, ModelVersion, Route
from controlplane.models.deployments import Backend, Flavour

_LONGEST_NAME = 52


class Tls(NamedTuple):
    """How an engine behind https is checked."""

    ca: str = ""
    """certificates in PEM; empty: those that the machine trusts"""
    verify: bool = True


@transaction.atomic
def connect_engine(
    url: str,
    *,
    model: str,
    route: str,
    weight: int = 100,
    tls: Tls | None = None,
    key: str | None = None,
    actor: Actor,
    reason: str = "",
) -> tuple[Deployment, Route]:
    """Register an engine that Signalbox does not start, and give it a share of the route.

    `model` is what the engine calls it. The route is made when there is none, else its other targets stay. The same
    URL, model and route again only change the weight, and the TLS and the engine's key if they are given.
    """
    url = engine_root(url)
    deployment = connected(url).filter(served_name=model).first()
    if deployment is None:
        deployment = _register(url, model, actor, reason, tls=tls or Tls(), key=key or "")
    elif changes := _changes(tls, key):
        deployment = change_deployment(deployment, actor=actor, reason=reason, **changes)
    existing = Route.objects.filter(name=route).first()
    if existing is None:
        return deployment, create_route(name=route, targets={deployment: weight}, actor=actor, reason=reason)
    targets = {target.deployment: target.weight for target in existing.targets.select_related("deployment")}
    return deployment, change_route(existing, targets=targets | {deployment: weight}, actor=actor, reason=reason)


def connected(url: str) -> QuerySet[Deployment]:
    """The deployments that stand for this URL."""
    return Deployment.objects.filter(backend=Backend.EXTERNAL, external_url=url, deleted_at=None)


def engine_root(url: str) -> str:
    """Scheme, host and port of an engine's URL. Raises `Invalid`, naming `external_url`."""
    check_url(url)
    return url.rstrip("/").removesuffix("/v1").rstrip("/")


def _changes(tls: Tls | None, key: str | None) -> dict[str, Any]:
    changes: dict[str, Any] = {} if key is None else {"external_key": key}
    return changes | ({} if tls is None else {"tls_ca": tls.ca, "tls_verify": tls.verify})


def _register(url: str, model: str, actor: Actor, reason: str, *, tls: Tls, key: str) -> Deployment:
    """Names are derived, so that two commands at once meet at the unique name instead of making two of it."""
    mark = hashlib.sha256(f"{url} {model}".encode()).hexdigest()[:8]
    version = _version(_model(_label(model), actor, reason), f"external-{mark}", url, actor, reason)
    return create_deployment(
        name=f"{version.model.name[: _LONGEST_NAME - 9].rstrip('-')}-{mark}", version=version,
        backend=Backend.EXTERNAL, flavour=Flavour.EXTERNAL, external_url=url, served_name=model,
        tls_ca=tls.ca, tls_verify=tls.verify, external_key=key,
        actor=actor, reason=reason,
    )  # fmt: skip


def _model(name: str, actor: Actor, reason: str) -> Model:
    model = Model.objects.filter(name=name).first()
    if model and model.project_id:
        raise Invalid(_("The model %(name)s belongs to a project.") % {"name": name}, field="model")
    return model or create_model(name=name, actor=actor, reason=reason)


def _version(model: Model, name: str, url: str, actor: Actor, reason: str) -> ModelVersion:
    version = model.versions.filter(name=name).first()
    return version or create_version(model, name=name, source=f"external:{url}", actor=actor, reason=reason)


def _label(model: str) -> str:
    """The engine's name for the model as a catalogue name: ``Qwen/Qwen3-32B`` becomes ``qwen-qwen3-32b``."""
    label = re.sub(r"[^a-z0-9]+", "-", model.lower())[:_LONGEST_NAME].strip("-")
    if not label:
        raise Invalid(_("Give the name that the engine calls the model."), field="model")
    return label
