"""What every backend promises (`workers.backends.base.Backend`), run against each of them."""

from collections.abc import Iterator

import pytest

from controlplane.publish import redis_client
from tests.waiting import until
from tests.workers.backends.kubernetes.cluster import running_cluster
from tests.workers.backends.kubernetes.pods import PLACE
from tests.workers.conftest import MakeBackend
from tests.workers.specs import spec
from workers.backends.base import Backend, Phase, ReplicaStatus
from workers.backends.external import HASH, ExternalBackend
from workers.backends.kubernetes.api import Api
from workers.backends.kubernetes.backend import KubernetesBackend
from workers.backends.memory import MemoryBackend


@pytest.fixture(params=["memory", "process", "kubernetes", "external"])
def backend(request: pytest.FixtureRequest, make_backend: MakeBackend) -> Iterator[Backend]:
    match request.param:
        case "memory":
            yield MemoryBackend()
        case "process":
            yield make_backend()
        case "kubernetes":
            with running_cluster() as cluster:
                yield KubernetesBackend(Api(cluster.client, PLACE.namespace), PLACE)
        case _:
            redis_client().delete(HASH)
            yield ExternalBackend(redis_client())
            redis_client().delete(HASH)


def _only(backend: Backend) -> ReplicaStatus:
    (status,) = backend.observe()
    return status


def _delete(backend: Backend, name: str) -> None:
    def gone() -> bool:
        backend.delete(name)
        return name not in {status.name for status in backend.observe()}

    until(gone)


def test_nothing_is_there_at_first(backend: Backend) -> None:
    assert backend.observe() == []


def test_applied_is_observed(backend: Backend) -> None:
    backend.apply(spec())
    status = _only(backend)
    assert (status.name, status.deployment, status.phase) == ("web-0", "web", Phase.RUNNING)
    assert status.spec_hash == spec().spec_hash
    assert status.url.startswith("http://")
    assert not status.url.endswith("/")


def test_apply_twice_starts_once(backend: Backend) -> None:
    backend.apply(spec())
    first = _only(backend)
    backend.apply(spec())
    assert _only(backend) == first


def test_other_spec_takes_the_place(backend: Backend) -> None:
    backend.apply(spec())
    other = spec(served_name="other")

    def replaced() -> bool:
        backend.apply(other)
        return [(it.spec_hash, it.phase) for it in backend.observe()] == [(other.spec_hash, Phase.RUNNING)]

    until(replaced)


def test_deleted_is_gone(backend: Backend) -> None:
    backend.apply(spec())
    _delete(backend, "web-0")
    assert backend.observe() == []


def test_deleting_what_is_not_there_is_fine(backend: Backend) -> None:
    backend.delete("nobody-0")
    assert backend.observe() == []


def test_deleted_can_come_again(backend: Backend) -> None:
    backend.apply(spec())
    _delete(backend, "web-0")
    backend.apply(spec())
    assert _only(backend).phase is Phase.RUNNING


def test_replicas_do_not_touch_each_other(backend: Backend) -> None:
    backend.apply(spec())
    backend.apply(spec(name="web-1"))
    _delete(backend, "web-0")
    status = _only(backend)
    assert (status.name, status.phase) == ("web-1", Phase.RUNNING)


def test_key_is_never_shown(backend: Backend) -> None:
    backend.apply(spec(engine_key="top-secret"))
    assert "top-secret" not in repr(spec(engine_key="top-secret")) + repr(backend.observe())
