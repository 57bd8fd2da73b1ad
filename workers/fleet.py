"""The backends of this installation, by the name that deployments carry."""

from collections.abc import Callable
from functools import cache

from django.conf import settings

from controlplane.models.deployments import Backend as BackendName
from controlplane.publish import redis_client
from workers.backends.base import Backend
from workers.backends.external import ExternalBackend
from workers.backends.process.backend import ProcessBackend


def _kubernetes() -> Backend:
    """Imported on first use: the client takes a second and 40 MB that an installation without Kubernetes can spare."""
    from workers.backends.kubernetes.installed import backend as installed  # noqa: PLC0415

    return installed()


_MAKERS: dict[str, Callable[[], Backend]] = {
    BackendName.PROCESS: lambda: ProcessBackend.for_vllm(settings.REPLICAS_DIR, settings.ENGINES_DIR),
    BackendName.KUBERNETES: _kubernetes,
    BackendName.EXTERNAL: lambda: ExternalBackend(redis_client()),
}


@cache
def backend(name: str) -> Backend:
    """The backend of that name, made on first use. Raises KeyError for a name that no release knows."""
    return _MAKERS[name]()
