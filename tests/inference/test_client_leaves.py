"""A client that leaves closes its engine connection at once, and the register says so."""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from tests.inference.conftest import Gateway, RegisterReader, Start, eventually, route
from tests.inference.engine import STREAM_HEAD, Asked, Engine, chunk, delta, silence

SOON = 0.2


async def endless(engine: Engine, asked: Asked, writer: asyncio.StreamWriter) -> None:
    writer.write(STREAM_HEAD)
    while True:
        writer.write(chunk(delta("x")))
        await writer.drain()
        await asyncio.sleep(0.01)


async def slow_stream(engine: Engine, asked: Asked, writer: asyncio.StreamWriter) -> None:
    writer.write(STREAM_HEAD + chunk(delta("x")))
    await writer.drain()
    await asyncio.sleep(3600)


@asynccontextmanager
async def raw_chat(
    gateway: Gateway, **fields: object
) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    body = json.dumps({"model": "smol", "messages": [], **fields}).encode()
    reader, writer = await asyncio.open_connection("127.0.0.1", gateway.port)
    head = f"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {gateway.key.token}\r\n"
    writer.write(f"{head}content-length: {len(body)}\r\n\r\n".encode() + body)
    yield reader, writer
    writer.close()


async def leave_and_time(engine: Engine, writer: asyncio.StreamWriter) -> float:
    engine.gone.clear()
    left = time.monotonic()
    writer.transport.abort()
    await asyncio.wait_for(engine.gone.wait(), 5)
    return time.monotonic() - left


@pytest.mark.parametrize("stream", [False, True])
async def test_before_the_first_byte(start: Start, register: RegisterReader, stream: bool) -> None:
    async with Engine(silence) as engine:
        gateway = await start(route("smol", engine.url))
        async with raw_chat(gateway, stream=stream) as (_, writer):
            await eventually(lambda: engine.asked)
            assert await leave_and_time(engine, writer) <= SOON
    await eventually(lambda: register.rows(kind="outcome"))
    outcome = register.rows(kind="outcome")[0]
    assert (outcome["status"], outcome["status_code"]) == ("client_closed", 499)


@pytest.mark.parametrize("script", [endless, slow_stream])
async def test_in_the_middle_of_a_stream(start: Start, register: RegisterReader, script: object) -> None:
    async with Engine(script) as engine:  # type: ignore[arg-type]
        gateway = await start(route("smol", engine.url))
        async with raw_chat(gateway, stream=True) as (reader, writer):
            await reader.readuntil(b"data: ")
            assert await leave_and_time(engine, writer) <= SOON
    await eventually(lambda: register.rows(kind="outcome", status="client_closed"))


async def test_many_leave_at_once(start: Start, register: RegisterReader) -> None:
    async with Engine(silence) as engine:
        gateway = await start(route("smol", engine.url))
        connections = [raw_chat(gateway) for _ in range(50)]
        writers = [(await connection.__aenter__())[1] for connection in connections]
        await eventually(lambda: len(engine.asked) == 50)
        for writer in writers:
            writer.transport.abort()
        await eventually(lambda: engine.open == 0, 1)
    await eventually(lambda: len(register.rows(kind="outcome", status="client_closed")) == 50)


async def test_while_the_body_is_sent(start: Start, engine: Engine) -> None:
    gateway = await start(route("smol", engine.url))
    _, writer = await asyncio.open_connection("127.0.0.1", gateway.port)
    head = f"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {gateway.key.token}\r\n"
    writer.write(f'{head}content-length: 100\r\n\r\n{{"model":'.encode())
    await writer.drain()
    writer.transport.abort()
    assert (await gateway.chat()).status_code == 200
    assert len(engine.asked) == 1


async def test_reader_that_stalls_is_cut_off(start: Start) -> None:
    async def flood(engine: Engine, asked: Asked, writer: asyncio.StreamWriter) -> None:
        writer.write(STREAM_HEAD)
        while True:
            writer.write(chunk(delta("x" * 60_000)))
            await writer.drain()

    async with Engine(flood) as engine:
        gateway = await start(route("smol", engine.url), SIGNALBOX_GATEWAY_STALL_SECONDS="0.5")
        async with raw_chat(gateway, stream=True) as (_, writer):
            writer.transport.pause_reading()  # type: ignore[attr-defined]
            await asyncio.wait_for(engine.gone.wait(), 10)
