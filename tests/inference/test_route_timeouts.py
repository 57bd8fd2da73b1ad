"""Each stage of a request has its time, and a route may have its own."""

import asyncio
import json
import socket
from collections.abc import Iterator

import pytest

from inference.contract.tables import TimeoutsEntry
from inference.timeouts import Timeouts
from tests.inference.conftest import Start, route
from tests.inference.engine import STREAM_HEAD, Asked, Engine, answer, chunk, delta, plain, silence
from tests.inference.test_metrics import total


def test_route_takes_what_it_does_not_say_from_the_gateway() -> None:
    gateway = Timeouts(1, 2, 3, 4)
    assert gateway.of_route(TimeoutsEntry()) == gateway
    assert gateway.of_route(TimeoutsEntry(first_byte=0.5, total=9)) == Timeouts(1, 0.5, 3, 9)
    assert gateway.of_route(TimeoutsEntry(connect=0, chunk=-1, total=float("nan"))) == gateway


async def one_chunk(engine: Engine, asked: Asked, writer: asyncio.StreamWriter) -> None:
    writer.write(STREAM_HEAD + chunk(delta("Pa")))
    await writer.drain()
    await asyncio.sleep(3600)


async def drops(engine: Engine, asked: Asked, writer: asyncio.StreamWriter) -> None:
    """Never long silent, never through."""
    writer.write(STREAM_HEAD)
    while True:
        writer.write(chunk(delta("Pa")))
        await writer.drain()
        await asyncio.sleep(0.1)


async def half_a_plain_answer(engine: Engine, asked: Asked, writer: asyncio.StreamWriter) -> None:
    writer.write(plain(b'{"a":1}')[:-3])
    await writer.drain()
    await asyncio.sleep(3600)


def last_error(text: str) -> str:
    return json.loads(text.strip().split("\n\n")[-1].removeprefix("data: "))["error"]["code"]


@pytest.fixture
def deaf_port() -> Iterator[int]:
    """Nobody takes connections here, and the kernel takes no more."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        with socket.socket() as first:
            first.connect(listener.getsockname())
            yield listener.getsockname()[1]


async def test_connecting(start: Start, deaf_port: int) -> None:
    gateway = await start(route("smol", f"http://127.0.0.1:{deaf_port}", timeouts=TimeoutsEntry(connect=0.2)))
    response = await gateway.chat()
    assert (response.status_code, response.json()["error"]["code"]) == (504, "connect_timeout")


async def test_first_byte(start: Start) -> None:
    async with Engine(silence) as engine:
        gateway = await start(route("smol", engine.url, timeouts=TimeoutsEntry(first_byte=0.2)))
        response = await gateway.chat()
    assert (response.status_code, response.json()["error"]["code"]) == (504, "upstream_timeout")


async def test_between_chunks(start: Start) -> None:
    async with Engine(one_chunk) as engine:
        gateway = await start(route("smol", engine.url, timeouts=TimeoutsEntry(chunk=0.2)))
        assert last_error((await gateway.chat(stream=True)).text) == "upstream_timeout"


async def test_total_before_the_first_byte(start: Start) -> None:
    async with Engine(silence) as engine:
        gateway = await start(route("smol", engine.url, timeouts=TimeoutsEntry(total=0.2)))
        response = await gateway.chat()
    assert (response.status_code, response.json()["error"]["code"]) == (504, "total_timeout")


async def test_total_while_a_plain_answer_is_collected(start: Start) -> None:
    async with Engine(half_a_plain_answer) as engine:
        gateway = await start(route("smol", engine.url, timeouts=TimeoutsEntry(total=0.2)))
        response = await gateway.chat()
    assert (response.status_code, response.json()["error"]["code"]) == (504, "total_timeout")


async def test_total_after_the_first_byte(start: Start) -> None:
    async with Engine(drops) as engine:
        gateway = await start(route("smol", engine.url, timeouts=TimeoutsEntry(total=0.5)))
        text = (await gateway.chat(stream=True)).text
    assert last_error(text) == "total_timeout"
    assert text.count("Pa") > 1
    assert "[DONE]" not in text


async def test_total_holds_over_all_attempts(start: Start) -> None:
    """Two replicas, each silent for its first byte's time, have no more than the route's total between them."""
    async with Engine(silence) as one, Engine(silence) as two:
        times = TimeoutsEntry(first_byte=0.4, total=0.6)
        gateway = await start(route("smol", one.url, two.url, timeouts=times))
        response = await gateway.chat()
        assert (response.status_code, response.json()["error"]["code"]) == (504, "total_timeout")
        assert (len(one.asked), len(two.asked)) == (1, 1)


async def test_silent_replica_is_left_for_another(start: Start, engine: Engine) -> None:
    async with Engine(silence) as bad:
        gateway = await start(route("smol", bad.url, engine.url, timeouts=TimeoutsEntry(first_byte=0.3)))
        before = await total(gateway, "signalbox_gateway_ejections_total", reason="silent")
        answers = [await gateway.chat() for _ in range(4)]
        assert {answer.status_code for answer in answers} == {200}
        assert len(bad.asked) == 1
        assert await total(gateway, "signalbox_gateway_ejections_total", reason="silent") == before + 1


async def test_slow_replica_that_answers_others_stays(start: Start, engine: Engine) -> None:
    """One request was too slow. That is an answer to its client, no reason to do it again elsewhere."""

    async def slow_or_drops(engine: Engine, asked: Asked, writer: asyncio.StreamWriter) -> None:
        await (drops if asked.json["messages"][0]["content"] == "drops" else silence)(engine, asked, writer)

    async with Engine(slow_or_drops) as saturated:
        times = TimeoutsEntry(first_byte=1.5)
        gateway = await start(
            route("smol", saturated.url, timeouts=times), route("other", saturated.url, engine.url, timeouts=times)
        )
        before = await total(gateway, "signalbox_gateway_ejections_total")
        stream = asyncio.create_task(gateway.chat("drops", stream=True))
        response = await gateway.chat("slow")
        stream.cancel()
        assert (response.status_code, response.json()["error"]["code"]) == (504, "upstream_timeout")
        assert await total(gateway, "signalbox_gateway_ejections_total") == before


async def test_times_of_one_route_are_not_anothers(start: Start) -> None:
    """They share an engine and its connections."""

    async def slow(engine: Engine, asked: Asked, writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(0.6)
        await answer(engine, asked, writer)

    async with Engine(slow) as engine:
        hasty = route("hasty", engine.url, timeouts=TimeoutsEntry(first_byte=0.2))
        gateway = await start(route("smol", engine.url), hasty)
        patient = [(await gateway.chat()).status_code for _ in range(2)]
        assert (await gateway.chat(model="hasty")).status_code == 504
        assert [*patient, (await gateway.chat()).status_code] == [200] * 3
