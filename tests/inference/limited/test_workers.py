"""Worker processes of one gateway share every limit."""

import asyncio
import os
from collections.abc import Callable, Iterator

import pytest
import redis as redis_sync

from inference.contract import tables
from inference.contract.limits import LimitEntry
from tests.inference.conftest import Gateway, Key, new_key, route
from tests.inference.engine import Engine
from tests.waiting import eventually

from .conftest import Limited, Publisher

LimitKey = Callable[..., Key]
LIMIT = 20


@pytest.fixture
def kept_redis() -> Iterator[str]:
    """A Redis of our own: how many gateways there are is the same for all that count in one."""
    url = f"{os.environ['REDIS_URL']}?db=11"
    with redis_sync.Redis.from_url(url) as client:
        client.flushdb()
        yield url
        client.flushdb()


def limited_key(project: str, **dimensions: int) -> Key:
    key = new_key(project=project)
    entry = LimitEntry(project, key=key.entry.id, **dimensions)
    key.entry = tables.KeyEntry(key.entry.id, key.entry.digest, project, "test", limits=(entry,))
    return key


async def test_together_never_above_the_limit(
    begin: Limited, engine: Engine, limit_key: LimitKey, publisher: Publisher, project: str
) -> None:
    limit_key(requests_per_minute=1000)
    gateway = await begin(route("smol", engine.url), fresh=True, SIGNALBOX_GATEWAY_WORKERS="2")
    await eventually(lambda: _all_have_joined(gateway))
    gateway.key = limited_key(project, requests_per_minute=LIMIT)
    publisher.key(gateway.key)
    await asyncio.sleep(1)
    body = {"model": "smol", "messages": [], "max_tokens": 1}
    headers = {**gateway.authorization, "connection": "close"}  # a new connection meets either worker
    asking = (gateway.http.post("/v1/chat/completions", json=body, headers=headers) for _ in range(3 * LIMIT))
    statuses = [answer.status_code for answer in await asyncio.gather(*asking)]
    assert (statuses.count(200), statuses.count(429)) == (LIMIT, 2 * LIMIT)


async def _all_have_joined(gateway: Gateway) -> bool:
    """A worker that is absent keeps its share, so the rest have less."""
    return int((await gateway.chat()).headers["x-ratelimit-remaining-requests"]) > 500
