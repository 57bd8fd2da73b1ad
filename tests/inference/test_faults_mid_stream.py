"""After the first byte a loss is told, never hidden: an error event and no regular end."""

import asyncio
import json

import pytest

from tests.inference.conftest import Gateway, RegisterReader, Start, route
from tests.inference.engine import DONE, STREAM_HEAD, Asked, Engine, Script, chunk, delta, plain


async def cut(engine: Engine, asked: Asked, writer: asyncio.StreamWriter) -> None:
    writer.write(STREAM_HEAD + chunk(delta("Pa")))
    await writer.drain()
    await asyncio.sleep(0.05)
    writer.write(chunk(b'data: {"half": "an ev'))
    await writer.drain()
    writer.transport.abort()


async def regular_end_without_done(engine: Engine, asked: Asked, writer: asyncio.StreamWriter) -> None:
    writer.write(STREAM_HEAD + chunk(delta("Pa")) + b"0\r\n\r\n")
    await writer.drain()


async def hang(engine: Engine, asked: Asked, writer: asyncio.StreamWriter) -> None:
    writer.write(STREAM_HEAD + chunk(delta("Pa")))
    await writer.drain()
    await asyncio.sleep(3600)


async def broken_framing(engine: Engine, asked: Asked, writer: asyncio.StreamWriter) -> None:
    writer.write(STREAM_HEAD + chunk(delta("Pa")))
    await writer.drain()
    await asyncio.sleep(0.05)
    writer.write(b"zz\r\nnot a chunk")
    await writer.drain()
    await asyncio.sleep(1)


async def stream_events(gateway: Gateway) -> list[str]:
    response = await gateway.chat(stream=True)
    assert response.status_code == 200
    return [event.removeprefix("data: ") for event in response.text.split("\n\n") if event]


@pytest.mark.parametrize(
    ("fault", "code"),
    [
        (cut, "upstream_error"),
        (regular_end_without_done, "stream_cut"),
        (hang, "upstream_timeout"),
        (broken_framing, "upstream_garbage"),
    ],
)
async def test_loss_is_told(start: Start, register: RegisterReader, fault: Script, code: str) -> None:
    async with Engine(fault) as engine:
        gateway = await start(route("smol", engine.url), SIGNALBOX_GATEWAY_CHUNK_SECONDS="0.5")
        first, last = await stream_events(gateway)
    assert "Pa" in first
    assert json.loads(last)["error"]["code"] == code
    assert register.rows(kind="outcome")[0]["status"] == code


async def test_lost_stream_is_not_asked_twice(start: Start, engine: Engine) -> None:
    async with Engine(cut) as bad:
        gateway = await start(route("smol", bad.url, engine.url))
        texts = [await stream_events(gateway) for _ in range(2)]
        assert len(bad.asked) == 1
        assert len(engine.asked) == 1
        assert sum("error" in events[-1] for events in texts) == 1


async def test_loss_inside_a_long_plain_answer_is_no_whole_answer(start: Start) -> None:
    async def long_then_cut(engine: Engine, asked: Asked, writer: asyncio.StreamWriter) -> None:
        writer.write(plain(b"x" * 4_000_000)[:-10])
        await writer.drain()
        writer.transport.abort()

    async with Engine(long_then_cut) as engine:
        gateway = await start(route("smol", engine.url))
        with pytest.raises(Exception, match="incomplete|peer closed"):
            await gateway.chat()


async def test_long_plain_answer_arrives_whole(start: Start, register: RegisterReader) -> None:
    body = b'{"x":"' + b"y" * 5_000_000 + b'"}'

    async def long(engine: Engine, asked: Asked, writer: asyncio.StreamWriter) -> None:
        writer.write(plain(body))
        await writer.drain()

    async with Engine(long) as engine:
        gateway = await start(route("smol", engine.url))
        assert (await gateway.chat()).content == body
    assert register.rows(kind="outcome")[0]["status"] == "ok"


async def test_answer_that_ends_with_its_connection_arrives_whole(start: Start) -> None:
    async def until_close(engine: Engine, asked: Asked, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n" + delta("a") + DONE)
        await writer.drain()
        writer.close()

    async with Engine(until_close) as engine:
        gateway = await start(route("smol", engine.url))
        assert (await gateway.chat(stream=True)).content == delta("a") + DONE
