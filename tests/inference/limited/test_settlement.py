"""A request is charged what it used, once, however it ended; its slot is free as soon as it is over."""

import asyncio
import json
from collections.abc import Callable

import pytest

from tests.inference.conftest import Gateway, Key, route
from tests.inference.engine import STREAM_HEAD, USAGE, Asked, Engine, chunk, delta, plain, silence
from tests.inference.test_client_leaves import raw_chat
from tests.waiting import eventually

from .conftest import Limited

LimitKey = Callable[..., Key]
MUCH = 100_000
SPENT = USAGE["total_tokens"]


async def slow_stream(engine: Engine, asked: Asked, writer: asyncio.StreamWriter) -> None:
    """One token, and no second one."""
    writer.write(STREAM_HEAD + chunk(delta("x")))
    await writer.drain()
    await asyncio.sleep(3600)


async def used(gateway: Gateway, limit: int = MUCH) -> int:
    """What a request sees as used before its own reservation, which a tiny one makes small."""
    response = await gateway.chat(max_tokens=0)
    assert response.status_code == 200, response.text
    own = limit - int(response.headers["x-ratelimit-remaining-tokens"])
    prompt = len(b'"smol"[{"role":"user","content":"hi"}]0') // 4 + 1
    return own - prompt


async def settled(gateway: Gateway, before: int, spent: int) -> None:
    """The next look finds so many tokens more, besides the looks' own usage."""
    looks = 0

    async def found() -> bool:
        nonlocal looks
        looks += 1
        return await used(gateway) == before + spent + SPENT * looks

    await eventually(found)


@pytest.mark.parametrize("stream", [False, True])
async def test_charged_with_the_engines_count(
    begin: Limited, engine: Engine, limit_key: LimitKey, stream: bool
) -> None:
    limit_key(tokens_per_minute=MUCH)
    gateway = await begin(route("smol", engine.url))
    before = await used(gateway)
    response = await gateway.chat(max_tokens=1500, stream=stream)
    assert int(response.headers["x-ratelimit-remaining-tokens"]) < MUCH - 1500
    await settled(gateway, before, SPENT)


async def test_refunded_when_no_replica_is_there(begin: Limited, engine: Engine, limit_key: LimitKey) -> None:
    limit_key(tokens_per_minute=MUCH)
    gateway = await begin(route("smol", engine.url), route("empty"))
    before = await used(gateway)
    assert (await gateway.chat(model="empty", max_tokens=1500)).status_code == 503
    await settled(gateway, before, 0)


@pytest.mark.parametrize("status", [400, 500])
async def test_refunded_when_the_engine_refuses(
    begin: Limited, engine: Engine, limit_key: LimitKey, status: int
) -> None:
    async def refuse(engine: Engine, asked: Asked, writer: asyncio.StreamWriter) -> None:
        writer.write(plain(b'{"error":{"message":"no"}}', status))

    async with Engine(refuse) as other:
        limit_key(tokens_per_minute=MUCH)
        gateway = await begin(route("smol", engine.url), route("bad", other.url))
        before = await used(gateway)
        assert (await gateway.chat(model="bad", max_tokens=1500)).status_code >= 400
        await settled(gateway, before, 0)


async def test_plain_answer_that_nobody_waits_for_is_charged_in_full(
    begin: Limited, engine: Engine, limit_key: LimitKey
) -> None:
    async with Engine(silence) as slow:
        limit_key(tokens_per_minute=MUCH)
        gateway = await begin(route("smol", engine.url), route("slow", slow.url))
        before = await used(gateway)
        async with raw_chat(gateway, model="slow", max_tokens=1500) as (_, writer):
            await eventually(lambda: slow.asked)
            writer.transport.abort()
        await asyncio.sleep(0.3)
        assert await used(gateway) >= before + 1500


async def test_stream_that_nobody_reads_on_is_charged_what_was_sent(
    begin: Limited, engine: Engine, limit_key: LimitKey
) -> None:
    async with Engine(slow_stream) as slow:
        limit_key(tokens_per_minute=MUCH)
        gateway = await begin(route("smol", engine.url), route("slow", slow.url))
        before = await used(gateway)
        async with raw_chat(gateway, model="slow", stream=True, max_tokens=1500) as (reader, writer):
            await reader.readuntil(b"data: ")
            writer.transport.abort()
        await asyncio.sleep(0.3)
        assert SPENT < await used(gateway) - before < SPENT + 60


async def test_answer_without_usage_is_charged_in_full(begin: Limited, engine: Engine, limit_key: LimitKey) -> None:
    async def mute(engine: Engine, asked: Asked, writer: asyncio.StreamWriter) -> None:
        writer.write(plain(json.dumps({"choices": []}).encode()))

    async with Engine(mute) as other:
        limit_key(tokens_per_minute=MUCH)
        gateway = await begin(route("smol", engine.url), route("mute", other.url))
        before = await used(gateway)
        assert (await gateway.chat(model="mute", max_tokens=1500)).status_code == 200
        await asyncio.sleep(0.2)
        assert await used(gateway) >= before + 1500


async def _is_let_in(gateway: Gateway) -> bool:
    return (await gateway.chat()).status_code == 200


@pytest.mark.parametrize("stream", [False, True])
async def test_slot_is_free_when_the_client_has_left(
    begin: Limited, engine: Engine, limit_key: LimitKey, stream: bool
) -> None:
    async with Engine(silence) as slow:
        limit_key(concurrency=1)
        gateway = await begin(route("smol", engine.url), route("slow", slow.url))
        async with raw_chat(gateway, model="slow", stream=stream) as (_, writer):
            await eventually(lambda: slow.asked)
            response = await gateway.chat()
            assert response.status_code == 429
            assert "concurrent requests" in response.json()["error"]["message"]
            writer.transport.abort()
        await eventually(lambda: _is_let_in(gateway))


async def test_slot_is_free_when_the_engine_has_failed(begin: Limited, engine: Engine, limit_key: LimitKey) -> None:
    async def cut(engine: Engine, asked: Asked, writer: asyncio.StreamWriter) -> None:
        writer.write(STREAM_HEAD + chunk(delta("x")))
        await writer.drain()
        writer.transport.abort()

    async with Engine(cut) as broken:
        limit_key(concurrency=1)
        gateway = await begin(route("smol", engine.url), route("broken", broken.url))
        for _ in range(3):
            assert '"error"' in (await gateway.chat(model="broken", stream=True)).text
        await eventually(lambda: _is_let_in(gateway))
