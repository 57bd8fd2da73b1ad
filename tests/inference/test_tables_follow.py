"""What the control plane publishes is in force within a second, and stays in force when Redis is gone."""

import asyncio
import contextlib
import os
import secrets
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
from redis import Redis

from config import embedded
from inference.contract import tables
from inference.tables import Tables, connect
from tests.inference.conftest import PROJECT, Gateway, Key, Publisher, Start, new_key, route
from tests.inference.engine import Engine
from tests.waiting import eventually


async def status(gateway: Gateway, model: str = "smol", key: Key | None = None) -> int:
    used = replace(gateway, key=key) if key else gateway
    response = await gateway.http.post("/v1/chat/completions", json={"model": model}, headers=used.authorization)
    return response.status_code


async def test_new_route_is_served(start: Start, engine: Engine, publisher: Publisher) -> None:
    gateway = await start(route("smol", engine.url))
    assert await status(gateway, "large") == 404
    publisher.routes(route("smol", engine.url), route("large", engine.url))
    await eventually(lambda: _is(gateway, 200, "large"))


async def test_revoked_key_is_out(start: Start, engine: Engine, publisher: Publisher) -> None:
    gateway = await start(route("smol", engine.url))
    assert await status(gateway) == 200
    publisher.revoke(gateway.key)
    await eventually(lambda: _is(gateway, 401))


async def test_new_key_is_in_within_a_second(start: Start, engine: Engine, publisher: Publisher) -> None:
    gateway = await start(route("smol", engine.url))
    key = new_key()
    assert await status(gateway, key=key) == 401
    publisher.key(key)
    await eventually(lambda: _is(gateway, 200, key=key))


async def test_full_publish_is_taken_within_two_seconds(start: Start, engine: Engine, publisher: Publisher) -> None:
    gateway = await start(route("smol", engine.url))
    key = new_key()
    publisher.all(route("smol", engine.url), keys=(key,))
    await eventually(lambda: _is(gateway, 200, key=key))
    assert await status(gateway) == 401


async def test_new_generation_is_noticed_without_an_announcement(
    start: Start, engine: Engine, publisher: Publisher
) -> None:
    gateway = await start(route("smol", engine.url))
    publisher.write((route("other", engine.url),))
    publisher.client.set(tables.GENERATION, "another")
    await eventually(lambda: _is(gateway, 200, "other"))


async def test_wiped_redis_changes_nothing(start: Start, engine: Engine, publisher: Publisher) -> None:
    gateway = await start(route("smol", engine.url))
    publisher.client.flushdb()
    await asyncio.sleep(1.5)
    assert await status(gateway) == 200
    assert (await gateway.http.get("/readyz")).status_code == 200


async def test_flood_of_changes_ends_in_the_truth(start: Start, engine: Engine, publisher: Publisher) -> None:
    gateway = await start(route("smol", engine.url))
    key = new_key()
    with publisher.client.pipeline() as pipeline:
        for _ in range(5000):
            pipeline.xadd(tables.CHANGES, {"kind": tables.CHANGE_KEY, "id": "nobody"}, maxlen=10, approximate=False)
        pipeline.hset(tables.KEYS, key.entry.id, tables.encode(key.entry))
        pipeline.xadd(tables.CHANGES, {"kind": tables.CHANGE_KEY, "id": key.entry.id}, maxlen=10, approximate=False)
        pipeline.execute()
    await eventually(lambda: _is(gateway, 200, key=key))


async def _is(gateway: Gateway, expected: int, model: str = "smol", key: Key | None = None) -> bool:
    return await status(gateway, model, key) == expected


async def test_waits_for_its_first_tables(start: Start, engine: Engine, publisher: Publisher, redis_url: str) -> None:
    empty = redis_url.replace("db=9", "db=8")
    gateway = await start(route("smol", engine.url), ready=False, REDIS_URL=empty)
    await eventually(lambda: _reasons(gateway))
    assert "no tables in Redis" in (await _reasons(gateway))[0]
    response = await gateway.chat()
    assert (response.status_code, response.json()["error"]["code"]) == (503, "tables_missing")
    with Redis.from_url(empty) as client:
        try:
            Publisher(client).all(route("smol", engine.url), keys=(gateway.key,))
            await eventually(lambda: _is(gateway, 200))
        finally:
            client.flushdb()


async def _reasons(gateway: Gateway) -> list[str]:
    try:
        return list((await gateway.http.get("/readyz")).json()["reasons"])
    except httpx.TransportError:  # not listening yet
        return []


async def test_redis_may_come_late_and_go(start: Start, engine: Engine, tmp_path: Path) -> None:
    server = embedded.valkey(Path("/tmp") / f"sbx-{secrets.token_hex(4)}")
    gateway = await start(route("smol", engine.url), ready=False, REDIS_URL=server.url)
    await eventually(lambda: _reasons(gateway))
    assert "Redis cannot be read" in (await _reasons(gateway))[0]
    process = server.start(tmp_path / "valkey.log")
    try:
        server.wait()
        with Redis.from_url(server.url) as client:
            Publisher(client).all(route("smol", engine.url), keys=(gateway.key,))
        await eventually(lambda: _is(gateway, 200))
    finally:
        process.kill()
        process.wait()
    await asyncio.sleep(0.5)
    assert await status(gateway) == 200


async def test_starts_with_a_hundred_thousand_keys(
    start: Start, engine: Engine, publisher: Publisher, redis_url: str
) -> None:
    entry = new_key().entry
    with publisher.client.pipeline(transaction=False) as pipeline:
        for number in range(100_000):
            made = tables.KeyEntry(f"{number:08d}", entry.digest, PROJECT, "many")
            pipeline.hset(tables.KEYS, made.id, tables.encode(made))
        pipeline.execute()
    publisher.write((route("smol", engine.url),))
    publisher.client.set(tables.GENERATION, "many")
    redis = connect(redis_url)
    known = Tables(redis, os.environ["SECRET_KEY"])
    following = asyncio.create_task(known.follow())
    await eventually(lambda: known.loaded)
    assert len(known.keys) == 100_000
    following.cancel()
    await asyncio.gather(following, return_exceptions=True)
    await redis.aclose()


class Endless:
    """A Redis whose keys, once `slow`, never come to an end."""

    def __init__(self, redis: Any) -> None:
        self._redis = redis
        self.slow = False

    def __getattr__(self, name: str) -> Any:
        return getattr(self._redis, name)

    async def hscan(self, *args: Any, **kwargs: Any) -> Any:
        cursor, batch = await self._redis.hscan(*args, **kwargs)
        await asyncio.sleep(0.01)
        return (1 if self.slow else cursor), batch


async def test_revocation_does_not_wait_until_everything_is_read(publisher: Publisher, redis_url: str) -> None:
    first, second = new_key(), new_key()
    publisher.all(keys=(first, second))
    redis = connect(redis_url)
    endless = Endless(redis)
    known = Tables(endless, os.environ["SECRET_KEY"])  # type: ignore[arg-type]
    following = asyncio.create_task(known.follow())
    await eventually(lambda: known.loaded)
    endless.slow = True
    try:
        with publisher.client.pipeline() as together:
            together.xadd(tables.CHANGES, {"kind": tables.CHANGE_ALL, "id": ""})
            Publisher(together).revoke(first)
            together.execute()
        await eventually(lambda: first.entry.id not in known.keys)
        publisher.revoke(second)
        await eventually(lambda: second.entry.id not in known.keys)
    finally:
        endless.slow = False
        following.cancel()
        await asyncio.gather(following, return_exceptions=True)
        await redis.aclose()


class Deaf:
    """A Redis client that loses a cancellation, as redis-py sometimes does."""

    async def get(self, _: str) -> bytes:
        return b"a generation"

    async def mget(self, *names: str) -> list[None]:
        return [None for _ in names]

    async def xrevrange(self, *_: Any, **__: Any) -> list[Any]:
        return []

    async def hscan(self, *_: Any, **__: Any) -> tuple[int, dict[bytes, bytes]]:
        return 0, {}

    async def xread(self, *_: Any, block: int = 0, **__: Any) -> list[Any]:
        if not block:
            return []
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.sleep(10)
        return []


async def test_lost_cancellation_ends_it_all_the_same() -> None:
    known = Tables(Deaf(), "s" * 32)  # type: ignore[arg-type]
    following = asyncio.create_task(known.follow())
    await eventually(lambda: known.loaded)
    following.cancel()
    done, _ = await asyncio.wait({following}, timeout=5)
    assert done
