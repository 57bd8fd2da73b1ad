"""A limit that was set, changed or taken away holds within a second, in every worker."""

import asyncio
from collections.abc import Callable

from inference.contract.limits import LimitEntry
from tests.inference.conftest import Gateway, Key, route
from tests.inference.engine import Engine
from tests.waiting import eventually

from .conftest import Limited, Publisher

LimitKey = Callable[..., Key]


async def _is(gateway: Gateway, status: int) -> bool:
    return (await gateway.chat()).status_code == status


async def test_limit_of_a_key(
    begin: Limited, engine: Engine, publisher: Publisher, limit_key: LimitKey, key: Key
) -> None:
    free = key.entry
    gateway = await begin(route("smol", engine.url))
    publisher.key(limit_key(requests_per_minute=0))
    await eventually(lambda: _is(gateway, 429))
    key.entry = free
    publisher.key(key)
    await eventually(lambda: _is(gateway, 200))


async def test_limit_of_a_project(begin: Limited, engine: Engine, publisher: Publisher, project: str) -> None:
    gateway = await begin(route("smol", engine.url))
    publisher.limits(LimitEntry(project, requests_per_minute=0))
    await eventually(lambda: _is(gateway, 429))
    publisher.limits(LimitEntry(project, requests_per_minute=1000))
    await eventually(lambda: _is(gateway, 200))
    publisher.limits()
    await eventually(lambda: _is_unlimited(gateway))


async def _is_unlimited(gateway: Gateway) -> bool:
    return "x-ratelimit-limit-requests" not in (await gateway.chat()).headers


async def test_lost_table_changes_nothing(begin: Limited, engine: Engine, publisher: Publisher, project: str) -> None:
    gateway = await begin(route("smol", engine.url))
    publisher.limits(LimitEntry(project, requests_per_minute=0))
    await eventually(lambda: _is(gateway, 429))
    publisher.client.delete("signalbox:gateway:limits")
    publisher.all(route("smol", engine.url), keys=(gateway.key,))
    await asyncio.sleep(1.5)
    assert await _is(gateway, 429)
