"""Logs and events of pods, for the console and the management API."""

from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

from controlplane import replica_sources
from controlplane.models.deployments import Backend
from controlplane.replica_sources import ReplicaEvent, SourceAwayError
from workers.backends.base import BackendError

if TYPE_CHECKING:
    from workers.backends.kubernetes.backend import KubernetesBackend

T = TypeVar("T")


class Pods:
    """Connects when it is first asked."""

    def log(self, name: str, *, lines: int) -> str | None:
        return _asked(lambda: self._backend().log(name, lines=lines))

    def events(self, name: str) -> list[ReplicaEvent]:
        return _asked(lambda: self._backend().events(name))

    @staticmethod
    def _backend() -> "KubernetesBackend":
        from workers.backends.kubernetes.installed import backend  # noqa: PLC0415 - the client is big

        return backend()


def _asked(ask: Callable[[], T]) -> T:
    try:
        return ask()
    except BackendError as exc:
        raise SourceAwayError(str(exc)) from exc


def register() -> None:
    replica_sources.register(Backend.KUBERNETES, Pods())
