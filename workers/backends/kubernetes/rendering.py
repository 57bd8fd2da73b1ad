"""The manifests of a deployment, for a dry run and for ``manage.py render``."""

from collections.abc import Iterable
from typing import Any

import yaml
from django.conf import settings

from controlplane.engine_secrets import HIDDEN
from workers.backends.kubernetes.manifests import Manifest, Place, environment, manifests
from workers.engines.spec import ReplicaSpec


def place() -> Place:
    """This installation's."""
    return Place(
        namespace=settings.KUBERNETES_NAMESPACE,
        callers=dict(label.partition("=")[::2] for label in settings.KUBERNETES_CALLERS),
        callers_namespace=settings.KUBERNETES_CALLERS_NAMESPACE,
        callers_networks=tuple(settings.KUBERNETES_CALLERS_NETWORKS),
    )


def render(specs: Iterable[ReplicaSpec], *, secrets: bool) -> list[Manifest]:
    """All objects, each once; the values of Secrets only if `secrets`."""
    found: dict[tuple[str, str], Manifest] = {}
    for spec in specs:
        told = environment(spec) if secrets else dict.fromkeys(environment(spec), HIDDEN)
        for manifest in manifests(spec, place(), environment=told):
            found.setdefault((manifest["kind"], manifest["metadata"]["name"]), manifest)
    return list(found.values())


def as_yaml(objects: Iterable[dict[str, Any]]) -> str:
    """Documents that ``kubectl apply -f -`` takes."""
    return yaml.safe_dump_all(objects, sort_keys=False, allow_unicode=True, explicit_start=True)
