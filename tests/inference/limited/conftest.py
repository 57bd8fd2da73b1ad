"""Gateways whose limiter finds its counters as it left them: a Redis database that nobody wipes between tests.

Every test has a key and a project of its own, so no counter is met twice.
"""

import os
import secrets
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import pytest
import redis as redis_sync

from inference.contract import limits, tables
from inference.contract.limits import LimitEntry, LimitTable
from tests.inference import conftest as base
from tests.inference.books import Books
from tests.inference.conftest import Gateway, Key, Start, new_key
from tests.waiting import eventually


class Publisher(base.Publisher):
    def limits(self, *entries: LimitEntry) -> None:
        """The limits of projects and routes, as the control plane publishes them."""
        self.client.set(limits.TABLE, limits.encode(LimitTable(entries)))
        self.client.xadd(tables.CHANGES, {"kind": tables.CHANGE_LIMITS, "id": ""})


@pytest.fixture(scope="session")
def kept_redis() -> Iterator[str]:
    url = f"{os.environ['REDIS_URL']}?db=10"
    with redis_sync.Redis.from_url(url) as client:
        client.flushdb()
        yield url
        client.flushdb()


@pytest.fixture
def redis_url(kept_redis: str) -> str:
    return kept_redis


@pytest.fixture
def publisher(redis_url: str) -> Iterator[Publisher]:
    with redis_sync.Redis.from_url(redis_url) as client:
        yield Publisher(client)
        client.delete(limits.TABLE)


@pytest.fixture
def project() -> str:
    return f"p-{secrets.token_hex(4)}"


Limited = Callable[..., Awaitable[Gateway]]


@pytest.fixture
def key(project: str) -> Key:
    return new_key(project=project)


@pytest.fixture
def limit_key(key: Key, project: str) -> Callable[..., Key]:
    """The key of this test under these limits: ``limit_key(requests_per_minute=3)``."""

    def limited(route: str = "", **dimensions: int) -> Key:
        entry = LimitEntry(project, key=key.entry.id, route=route, **dimensions)
        key.entry = tables.KeyEntry(key.entry.id, key.entry.digest, project, "test", limits=(*key.entry.limits, entry))
        return key

    return limited


@pytest.fixture
def begin(start: Start, kept_redis: str) -> Limited:
    """A gateway that decides with that Redis."""

    async def _begin(*routes: tables.RouteEntry, **environment: Any) -> Gateway:
        gateway: Gateway = await start(*routes, **{"REDIS_URL": kept_redis, **environment})
        await eventually(lambda: _decides(gateway))
        return gateway

    return _begin


async def _decides(gateway: Gateway) -> bool:
    """The limiter has joined: asked once with a key that may do one thing in a minute."""
    return (await gateway.chat(max_tokens=1)).status_code in {200, 429}


@pytest.fixture
def books(database_url: str) -> Iterator[Books]:
    """The ledger of budgets."""
    opened = Books(database_url)
    yield opened
    opened.close()
