"""Clients that leave in the oddest moments; `tests/proofs/test_f3_clients_leave.py` has the common ones."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from tests.inference.conftest import Gateway, RegisterReader, Start, route
from tests.inference.engine import STREAM_HEAD, Asked, Engine, chunk, delta, silence
from tests.waiting import eventually


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


async def test_many_leave_at_once(start: Start, register: RegisterReader) -> None:
    async with Engine(silence) as engine:
        gateway = await start(route("smol", engine.url))
        connections = [raw_chat(gateway) for _ in range(50)]
        writers = [(await connection.__aenter__())[1] for connection in connections]
        await eventually(lambda: len(engine.asked) == 50)
        for writer in writers:
            writer.transport.abort()
        await eventually(lambda: engine.open == 0)
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
