"""Who fails gets no more requests for a while, and gets them again when it is well."""

import asyncio
import json
from collections import Counter

import pytest

from tests.inference.conftest import Gateway, Publisher, Start, free_port, route
from tests.inference.engine import COMPLETION, Asked, Engine, Script, answer, plain
from tests.inference.test_faults_before_the_first_byte import broken, busy, foreign_key, reset
from tests.inference.test_metrics import total
from tests.waiting import eventually


async def replicas(gateway: Gateway, count: int) -> Counter[str]:
    """Who answers so many requests, one after the other."""
    answers = [await gateway.chat() for _ in range(count)]
    assert {answer.status_code for answer in answers} == {200}
    return Counter(answer.headers["x-signalbox-replica"] for answer in answers)


async def ejections(gateway: Gateway, reason: str) -> float:
    return await total(gateway, "signalbox_gateway_ejections_total", replica="smol-0", reason=reason)


@pytest.mark.parametrize(("fault", "asked"), [(reset, 1), (broken, 5), (foreign_key, 5), (busy, 20)])
async def test_failing_replica_is_asked_so_often(start: Start, engine: Engine, fault: Script, asked: int) -> None:
    """An overloaded one always: it is not broken."""
    async with Engine(fault) as bad:
        gateway = await start(route("smol", bad.url, engine.url))
        assert await replicas(gateway, 40) == {"smol-1": 40}
        assert asked <= len(bad.asked) <= asked + 2  # it may have been let try again


async def test_ejection_is_counted_logged_and_shown(start: Start, engine: Engine) -> None:
    gateway = await start(route("smol", f"http://127.0.0.1:{free_port()}", engine.url))
    before, logged = await ejections(gateway, "unreachable"), len(gateway.log.read_text())
    await replicas(gateway, 4)
    assert await ejections(gateway, "unreachable") > before
    assert await total(gateway, "signalbox_gateway_ejected_replicas", deployment="smol-d") == 1
    (line, *_) = [line for line in gateway.log.read_text()[logged:].splitlines() if "out of rotation" in line]
    assert "replica smol-0 of smol-d" in line
    assert "unreachable (" in line
    assert "Connect" in line  # what the system said


async def test_replica_comes_back_when_it_is_well(start: Start, engine: Engine) -> None:
    well = asyncio.Event()

    async def broken_for_a_while(engine: Engine, asked: Asked, writer: asyncio.StreamWriter) -> None:
        await (answer if well.is_set() else reset)(engine, asked, writer)

    async with Engine(broken_for_a_while) as ill:
        gateway = await start(route("smol", ill.url, engine.url))
        logged = len(gateway.log.read_text())
        assert await replicas(gateway, 4) == {"smol-1": 4}
        well.set()

        async def is_back() -> bool:
            return (await replicas(gateway, 2))["smol-0"] == 1

        await eventually(is_back)
        assert await replicas(gateway, 10) == {"smol-0": 5, "smol-1": 5}
        await eventually(lambda: "replica smol-0 is back" in gateway.log.read_text()[logged:])
        assert await total(gateway, "signalbox_gateway_ejected_replicas") == 0


async def test_one_request_at_a_time_tries_a_returning_replica(start: Start, engine: Engine) -> None:
    at_once, most = 0, 0

    async def slow_reset(engine: Engine, asked: Asked, writer: asyncio.StreamWriter) -> None:
        nonlocal at_once, most
        at_once += 1
        most = max(most, at_once)
        await asyncio.sleep(0.2)
        at_once -= 1
        writer.transport.abort()

    async with Engine(slow_reset) as bad:
        gateway = await start(route("smol", bad.url, engine.url))
        await replicas(gateway, 2)
        most, before = 0, len(bad.asked)

        async def keep_asking() -> None:
            while len(bad.asked) < before + 2:
                assert (await gateway.chat()).status_code == 200

        await asyncio.wait_for(asyncio.gather(*(keep_asking() for _ in range(8))), 20)
        assert most == 1


async def test_last_replica_is_asked_however_often_it_fails(start: Start) -> None:
    async def every_other(engine: Engine, asked: Asked, writer: asyncio.StreamWriter) -> None:
        if len(engine.asked) % 2:
            await reset(engine, asked, writer)
        writer.write(plain(json.dumps(COMPLETION).encode(), extra="connection: close\r\n"))
        await writer.drain()

    async with Engine(every_other) as engine:
        gateway = await start(route("smol", engine.url))
        statuses = [(await gateway.chat()).status_code for _ in range(6)]
    assert statuses == [502, 200] * 3


async def test_all_fail_and_all_are_asked(start: Start) -> None:
    async with Engine(reset) as one, Engine(reset) as two:
        gateway = await start(route("smol", one.url, two.url))
        assert {(await gateway.chat()).status_code for _ in range(5)} == {502}
        assert (len(one.asked), len(two.asked)) == (5, 5)


async def test_replica_that_was_restarted_elsewhere_starts_clean(
    start: Start, engine: Engine, publisher: Publisher
) -> None:
    gateway = await start(route("smol", f"http://127.0.0.1:{free_port()}", engine.url))
    await replicas(gateway, 4)
    async with Engine(answer) as restarted:
        publisher.routes(route("smol", restarted.url, engine.url))
        await eventually(lambda: _asked_after(gateway, restarted))
        assert await total(gateway, "signalbox_gateway_ejected_replicas") == 0


async def _asked_after(gateway: Gateway, engine: Engine) -> bool:
    await gateway.chat()
    return bool(engine.asked)


async def test_failed_request_is_made_good_elsewhere(start: Start, engine: Engine) -> None:
    async def refuses_all(engine: Engine, asked: Asked, writer: asyncio.StreamWriter) -> None:
        writer.write(plain(json.dumps({"error": {"message": "EngineDeadError"}}).encode(), 500))
        await writer.drain()

    async with Engine(refuses_all) as bad:
        gateway = await start(route("smol", bad.url, engine.url))
        assert await replicas(gateway, 4) == {"smol-1": 4}
        assert bad.asked
