"""As long as the client has seen nothing, another replica may answer; else the client learns what happened."""

import asyncio

import pytest

from tests.inference.conftest import Publisher, RegisterReader, Start, free_port, route
from tests.inference.engine import STREAM_HEAD, Asked, Engine, Script, answer, plain, silence


async def reset(engine: Engine, asked: Asked, writer: asyncio.StreamWriter) -> None:
    writer.transport.abort()


async def cut_after_head(engine: Engine, asked: Asked, writer: asyncio.StreamWriter) -> None:
    writer.write(STREAM_HEAD)
    await writer.drain()
    writer.transport.abort()


async def half_a_body(engine: Engine, asked: Asked, writer: asyncio.StreamWriter) -> None:
    writer.write(plain(b'{"a":1}')[:-3])
    await writer.drain()
    writer.transport.abort()


async def busy(engine: Engine, asked: Asked, writer: asyncio.StreamWriter) -> None:
    writer.write(plain(b'{"error":"queue full"}', 503))
    await writer.drain()


async def foreign_key(engine: Engine, asked: Asked, writer: asyncio.StreamWriter) -> None:
    writer.write(plain(b'{"error":"Unauthorized"}', 401))
    await writer.drain()


async def broken(engine: Engine, asked: Asked, writer: asyncio.StreamWriter) -> None:
    writer.write(plain(b"Traceback: secret path", 500))
    await writer.drain()


async def garbage(engine: Engine, asked: Asked, writer: asyncio.StreamWriter) -> None:
    writer.write(b"\x00\x01 this is not HTTP\r\n\r\n")
    await writer.drain()


async def endless_head(engine: Engine, asked: Asked, writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\nx: " + b"x" * 200_000)
    await writer.drain()


async def two_answers(engine: Engine, asked: Asked, writer: asyncio.StreamWriter) -> None:
    writer.write(plain(b'{"mine":1}') + plain(b'{"yours":1}'))
    await writer.drain()


@pytest.mark.parametrize("fault", [reset, cut_after_head, half_a_body, busy, foreign_key])
async def test_another_replica_answers(start: Start, engine: Engine, fault: Script) -> None:
    async with Engine(fault) as bad:
        gateway = await start(route("smol", bad.url, engine.url))
        responses = [await gateway.chat(stream=True) for _ in range(4)]
        assert [response.status_code for response in responses] == [200] * 4
        assert bad.asked
        assert all(response.text.endswith("data: [DONE]\n\n") for response in responses)


async def test_refused_connection_is_another_replicas_turn(
    start: Start, engine: Engine, register: RegisterReader
) -> None:
    gateway = await start(route("smol", f"http://127.0.0.1:{free_port()}", engine.url))
    assert {(await gateway.chat()).status_code for _ in range(4)} == {200}
    retried = [row for row in register.rows(kind="outcome") if row["detail"]["attempts"] == 2]
    assert {(row["detail"]["routing"], row["replica"]) for row in retried} == {("retry", "smol-1")}


@pytest.mark.parametrize(
    ("fault", "status", "code"),
    [
        (reset, 502, "upstream_error"),
        (half_a_body, 502, "upstream_error"),
        (busy, 503, "upstream_busy"),
        (foreign_key, 502, "upstream_refused"),
        (broken, 502, "upstream_error"),
        (garbage, 502, "upstream_garbage"),
        (endless_head, 502, "upstream_garbage"),
        (silence, 504, "upstream_timeout"),
    ],
)
async def test_only_replica_fails(
    start: Start, register: RegisterReader, fault: Script, status: int, code: str
) -> None:
    async with Engine(fault) as bad:
        gateway = await start(route("smol", bad.url), SIGNALBOX_GATEWAY_FIRST_BYTE_SECONDS="0.5")
        response = await gateway.chat()
    assert (response.status_code, response.json()["error"]["code"]) == (status, code)
    assert "secret" not in response.text
    assert ("retry-after" in response.headers) == (status == 503)
    outcome = register.rows(kind="outcome")[0]
    assert (outcome["status"], outcome["status_code"]) == (code, status)


async def test_no_ready_replica_says_what_to_do(start: Start) -> None:
    gateway = await start(route("smol"))
    response = await gateway.chat()
    assert (response.status_code, response.json()["error"]["code"]) == (503, "no_ready_replica")
    assert "console" in response.json()["error"]["message"]
    assert int(response.headers["retry-after"]) > 0


async def test_kept_connection_that_the_engine_closed_is_no_error(start: Start) -> None:
    async def answer_once(engine: Engine, asked: Asked, writer: asyncio.StreamWriter) -> None:
        await answer(engine, asked, writer)
        writer.close()

    async with Engine(answer_once) as engine:
        gateway = await start(route("smol", engine.url))
        assert {(await gateway.chat()).status_code for _ in range(10)} == {200}


async def test_second_answer_to_one_request_reaches_nobody(start: Start) -> None:
    async with Engine(two_answers) as engine:
        gateway = await start(route("smol", engine.url))
        assert {(await gateway.chat()).text for _ in range(5)} == {'{"mine":1}'}


async def test_engines_refusal_is_passed_on(start: Start, register: RegisterReader) -> None:
    async def refuse(engine: Engine, asked: Asked, writer: asyncio.StreamWriter) -> None:
        writer.write(plain(b'{"error":{"message":"max_tokens too large","code":400}}', 400))
        await writer.drain()

    async with Engine(refuse) as engine:
        gateway = await start(route("smol", engine.url))
        response = await gateway.chat(max_tokens=10**9)
    assert (response.status_code, response.json()["error"]["message"]) == (400, "max_tokens too large")
    assert register.rows(kind="outcome")[0]["status"] == "refused_by_engine"


async def test_connection_to_an_engine_is_kept(start: Start, engine: Engine) -> None:
    gateway = await start(route("smol", engine.url))
    for stream in (False, True, False):
        await gateway.chat(stream=stream)
    assert (len(engine.asked), engine.connections) == (3, 1)


async def test_connections_to_a_removed_replica_are_closed(start: Start, engine: Engine, publisher: Publisher) -> None:
    gateway = await start(route("smol", engine.url))
    await gateway.chat()
    publisher.routes(route("smol"))
    await asyncio.wait_for(engine.gone.wait(), 3)
