"""An engine that does not move leaves rotation though its port is open; one that is only busy never does."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from inference.contract.tables import TimeoutsEntry
from tests.inference.batch_engine import Batch, engine_process
from tests.inference.conftest import Gateway, Start, route
from tests.inference.engine import STREAM_HEAD, Asked, Engine, answer, chunk, delta
from tests.inference.test_metrics import total
from tests.waiting import eventually

QUICK = {"SIGNALBOX_GATEWAY_POLL_SECONDS": "0.4", "SIGNALBOX_GATEWAY_HUNG_SECONDS": "1.2"}


async def hung(gateway: Gateway) -> float:
    return await total(gateway, "signalbox_gateway_ejections_total", reason="hung")


async def known(*engines: Engine) -> None:
    """The gateway has read these engines' metrics."""
    await eventually(lambda: all(engine.heard for engine in engines))


@asynccontextmanager
async def batch_engine(kv_use: float = 0.1) -> AsyncIterator[tuple[Batch, Engine]]:
    batch = Batch(kv_use)
    async with Engine(batch.script, metrics=batch.metrics) as engine:
        yield batch, engine


@pytest.mark.parametrize("known", [True, False])
async def test_stopped_process_leaves_and_its_requests_are_answered_elsewhere(start: Start, known: bool) -> None:
    """Also one that had hung before the gateway heard the first word of it."""
    with engine_process() as stopped:
        async with batch_engine() as (_, well):
            if not known:
                stopped.stop()
            gateway = await start(route("smol", stopped.url, well.url), **QUICK)
            before = await hung(gateway)
            if known:
                await stopped.told_its_metrics()
                stopped.stop()
            # Nothing of what goes there in the meantime is lost, and none waits for a time-out of 600 s.
            answers = await asyncio.gather(*(gateway.chat(stream=bool(i % 2)) for i in range(8)))
            assert {answer.status_code for answer in answers} == {200}
            assert all(answer.text.endswith(("}", "data: [DONE]\n\n")) for answer in answers)
            assert {answer.headers["x-signalbox-replica"] for answer in answers} == {"smol-1"}
            assert await hung(gateway) == before + 1
            asked = len(well.asked)
            assert {(await gateway.chat()).status_code for _ in range(6)} == {200}
            assert len(well.asked) == asked + 6

            stopped.go_on()

            async def is_back() -> bool:
                return (await gateway.chat()).headers["x-signalbox-replica"] == "smol-0"

            await eventually(is_back)


async def last_event(gateway: Gateway, began: set[str]) -> str:
    """Of a stream of some seconds; its replica is in `began` once the first one is there."""
    body = {"model": "smol", "messages": [], "stream": True, "max_tokens": 300}
    last = ""
    async with gateway.http.stream(
        "POST", "/v1/chat/completions", json=body, headers=gateway.authorization
    ) as response:
        async for line in response.aiter_lines():
            last = line or last
            began.add(response.headers["x-signalbox-replica"])
    return last


@pytest.mark.parametrize("comes_back", [True, False])
async def test_stream_on_a_stopped_process_waits_for_its_own_time_out(start: Start, comes_back: bool) -> None:
    """Nobody else could go on with it."""
    with engine_process() as stopped:
        async with batch_engine() as (_, well):
            times = TimeoutsEntry(chunk=90 if comes_back else 12)  # longer than the engine needs to be found out
            gateway = await start(route("smol", stopped.url, well.url, timeouts=times), **QUICK)
            await stopped.told_its_metrics()
            before = await hung(gateway)
            began: set[str] = set()
            streams = [asyncio.create_task(last_event(gateway, began)) for _ in range(2)]
            await eventually(lambda: len(began) == 2)
            stopped.stop()

            async def is_out() -> bool:
                return await hung(gateway) > before

            await eventually(is_out)
            if comes_back:
                stopped.go_on()
            ends = sorted(await asyncio.gather(*streams))
            assert ends[0].endswith("[DONE]")
            assert ends[1].endswith("[DONE]") if comes_back else '"upstream_timeout"' in ends[1]


async def test_engine_whose_steps_stall_leaves_and_returns(start: Start) -> None:
    async with batch_engine() as (stalled, bad), batch_engine() as (_, well):
        gateway = await start(route("smol", bad.url, well.url), **QUICK)
        await known(bad, well)
        before = await hung(gateway)
        stalled.pace.clear()
        answers = await asyncio.gather(*(gateway.chat() for _ in range(6)))
        assert {answer.status_code for answer in answers} == {200}
        assert await hung(gateway) == before + 1
        assert bad.polls > 2  # it answers them all the time

        stalled.pace.set()

        async def is_back() -> bool:
            return (await gateway.chat()).headers["x-signalbox-replica"] == "smol-0"

        await eventually(is_back)


async def test_stream_under_way_outlives_a_stall(start: Start) -> None:
    async with batch_engine() as (stalled, bad), batch_engine() as (_, well):
        gateway = await start(route("smol", bad.url, well.url), **QUICK)
        await known(bad, well)
        before = await hung(gateway)
        answers = [asyncio.create_task(gateway.chat(stream=True, max_tokens=20)) for _ in range(2)]
        await eventually(lambda: stalled.steps)
        stalled.pace.clear()

        async def is_out() -> bool:
            return await hung(gateway) > before

        await eventually(is_out)
        stalled.pace.set()
        assert all(answer.text.endswith("data: [DONE]\n\n") for answer in await asyncio.gather(*answers))


async def test_saturated_engine_stays(start: Start) -> None:
    """Four run, the others wait for longer than it takes to call an engine hung; plain answers, so no byte comes."""
    async with batch_engine() as (one, first), batch_engine() as (two, second):
        gateway = await start(route("smol", first.url, second.url), **QUICK)
        await known(first, second)
        before = await total(gateway, "signalbox_gateway_ejections_total")
        answers = [asyncio.create_task(gateway.chat(max_tokens=100)) for _ in range(24)]
        await eventually(lambda: one.waiting and two.waiting)
        assert {(await answer).status_code for answer in answers} == {200}
        assert await total(gateway, "signalbox_gateway_ejections_total") == before
        assert len(first.asked) == len(second.asked) == 12


async def test_slow_engine_without_metrics_stays(start: Start, engine: Engine) -> None:
    async def slow(engine: Engine, asked: Asked, writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(3)
        await answer(engine, asked, writer)

    async with Engine(slow) as external:
        gateway = await start(route("smol", external.url, engine.url), **QUICK)
        await known(external)
        before = await total(gateway, "signalbox_gateway_ejections_total")
        answers = await asyncio.gather(*(gateway.chat() for _ in range(2)))
        assert {answer.headers["x-signalbox-replica"] for answer in answers} == {"smol-0", "smol-1"}
        assert await total(gateway, "signalbox_gateway_ejections_total") == before


async def test_last_engine_is_waited_for(start: Start) -> None:
    async with batch_engine() as (stalled, only):
        gateway = await start(route("smol", only.url), **QUICK)
        await known(only)
        before = await hung(gateway)
        stalled.pace.clear()
        waiting = asyncio.create_task(gateway.chat())
        polls = only.polls
        await eventually(lambda: only.polls >= polls + 6)
        assert await hung(gateway) == before
        stalled.pace.set()
        assert (await waiting).status_code == 200


async def test_keepalive_bytes_are_signs_of_life(start: Start) -> None:
    async def speaks(engine: Engine, asked: Asked, writer: asyncio.StreamWriter) -> None:
        writer.write(STREAM_HEAD)
        for _ in range(8):
            writer.write(chunk(delta("x")))
            await writer.drain()
            await asyncio.sleep(0.4)
        await answer(engine, Asked("", {}, b"{}"), writer)

    async with Engine(speaks, metrics=Batch().metrics) as engine, batch_engine() as (_, other):
        gateway = await start(route("smol", engine.url, other.url), **QUICK)
        await known(engine)
        before = await hung(gateway)
        await asyncio.gather(*(gateway.chat(stream=True) for _ in range(2)))
        assert engine.asked
        assert await hung(gateway) == before


async def test_idle_engine_is_asked_less_often(start: Start) -> None:
    async with batch_engine() as (_, busy), batch_engine() as (_, idle):
        gateway = await start(route("smol", busy.url), route("other", idle.url), **QUICK)
        await known(busy, idle)
        before = busy.polls, idle.polls
        working = asyncio.create_task(gateway.chat(max_tokens=2000))

        def is_asked_less_often() -> bool:
            asked, idle_asked = busy.polls - before[0], idle.polls - before[1]
            return asked >= 12 and 2 * idle_asked < asked  # by its own clock a fifth, more after an answer came late

        await eventually(is_asked_less_often)
        working.cancel()


async def test_full_cache_gets_no_new_work_while_another_has_room(start: Start) -> None:
    async with batch_engine(0.9) as (full, first), batch_engine(0.2) as (_, second):
        gateway = await start(route("smol", first.url, second.url), **QUICK)
        await known(first, second)

        async def all_go_to_the_second() -> bool:
            first.asked.clear()
            second.asked.clear()
            await asyncio.gather(*(gateway.chat() for _ in range(8)))
            return (len(first.asked), len(second.asked)) == (0, 8)

        await eventually(all_go_to_the_second)  # a poll that came too late for its time-out says nothing
        full.kv_use = 0.3

        async def is_asked() -> bool:
            await gateway.chat()
            return bool(first.asked)

        await eventually(is_asked)


HOSTILE = {
    "endless": "vllm:kv_cache_usage_perc 0.9\n" * 200_000,
    "binary": "\x00" * 100,
    "no number": "vllm:kv_cache_usage_perc x",
}


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
async def test_hostile_metrics_harm_nobody(start: Start, text: str) -> None:
    async with Engine(answer, metrics=lambda: text) as odd:
        gateway = await start(route("smol", odd.url), **QUICK)
        await eventually(lambda: odd.polls >= 2)
        assert {(await gateway.chat()).status_code for _ in range(5)} == {200}
        assert "failed" not in gateway.log.read_text()
