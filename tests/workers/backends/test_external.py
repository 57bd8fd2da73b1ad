"""Engines by URL, beyond the contract."""

import pytest
from redis import Redis

from controlplane.publish import client_of
from tests.workers.specs import spec
from workers.backends.base import BackendError, Obstacle
from workers.backends.external import HASH, ExternalBackend


@pytest.fixture
def backend(redis: Redis) -> ExternalBackend:
    redis.delete(HASH)
    return ExternalBackend(redis)


@pytest.mark.parametrize("url", ["http://10.0.0.5:8000", "http://10.0.0.5:8000/", "http://10.0.0.5:8000/v1/"])
def test_url_is_scheme_host_and_port(backend: ExternalBackend, url: str) -> None:
    backend.apply(spec(external_url=url))
    assert backend.observe()[0].url == "http://10.0.0.5:8000"


def test_wiped_redis_forgets_and_heals(backend: ExternalBackend, redis: Redis) -> None:
    backend.apply(spec())
    redis.delete(HASH)
    assert backend.observe() == []
    backend.apply(spec())
    assert len(backend.observe()) == 1


def test_no_url_is_refused(backend: ExternalBackend) -> None:
    with pytest.raises(BackendError) as caught:
        backend.apply(spec(external_url=""))
    assert caught.value.reason is Obstacle.BAD_SPEC


def test_redis_away_is_a_backend_error() -> None:
    backend = ExternalBackend(client_of("redis://127.0.0.1:9"))
    with pytest.raises(BackendError, match="Redis does not answer"):
        backend.observe()


def test_garbled_entry_is_passed_over(backend: ExternalBackend, redis: Redis) -> None:
    redis.hset(HASH, "bad-0", "{")
    backend.apply(spec())
    assert [status.name for status in backend.observe()] == ["web-0"]
