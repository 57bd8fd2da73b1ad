"""A3: PostgreSQL goes away under load. With a spool requests go on, and every acknowledged one stands in the register
exactly once; without one, or when it is full, every new request is refused within a second and none is served.
"""

import asyncio
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.inference.conftest import Gateway, Start, route
from tests.inference.engine import Engine
from tests.proofs.proof import Proof
from tests.proofs.store import Agreement, Load, Store, Told, new_store
from tests.waiting import eventually


@pytest.fixture(scope="module")
def one_store() -> Iterator[Store]:
    with new_store() as store:
        yield store


@pytest.fixture
def store(one_store: Store) -> Iterator[Store]:
    yield one_store
    one_store.empty()


@pytest.fixture
def spooling(store: Store, tmp_path: Path) -> dict[str, str]:
    """The environment of a gateway with a spool of its own."""
    return {
        "DATABASE_URL": store.server.url,
        "SIGNALBOX_GATEWAY_SPOOL": "on",
        "SIGNALBOX_GATEWAY_SPOOL_DIR": str(tmp_path / "spool"),
    }


def spooled(environment: dict[str, str]) -> bool:
    return any(Path(environment["SIGNALBOX_GATEWAY_SPOOL_DIR"]).glob("*"))


async def show_agreement(proof: Proof, what: str, store: Store, load: Load) -> None:
    agreed = await Agreement.of(store, load)
    proof.show(
        f"acknowledged requests lost, or twice in the register, {what}", counted=agreed.acknowledged, bar="0 and 0",
        measured=f"{agreed.lost} and {agreed.doubled}", held=agreed.lost == agreed.doubled == 0,
    )  # fmt: skip


def show_refused(proof: Proof, what: str, load: Load) -> None:
    refused = load.refused
    proof.show(f"requests refused, {what}", counted=len(load.told), bar="0", measured=len(refused), held=not refused)


@pytest.mark.proof("A3", seconds=90)
async def test_killed(proof: Proof, start: Start, engine: Engine, store: Store, spooling: dict[str, str]) -> None:
    kills = 0
    gateway = await start(route("smol", engine.url), fresh=True, **spooling)
    async with Load(gateway).clients() as load:
        for _ in proof.rounds(2, 10):
            await load.until_more(proof.full(10, 200))
            store.signal(signal.SIGKILL)
            kills += 1
            await load.until_more(proof.full(10, 200))
            assert spooled(spooling)
            await asyncio.to_thread(store.start)
            await eventually(lambda: not spooled(spooling))
        await load.until_more()
    show_refused(proof, f"PostgreSQL killed {kills} times, spool on", load)
    await show_agreement(proof, f"PostgreSQL killed {kills} times", store, load)


@pytest.mark.proof("A3", seconds=60)
async def test_frozen(proof: Proof, start: Start, engine: Engine, store: Store, spooling: dict[str, str]) -> None:
    times = 0
    gateway = await start(route("smol", engine.url), fresh=True, **spooling)
    async with Load(gateway).clients() as load:
        for _ in proof.rounds(1, 5):
            await load.until_more(proof.full(10, 200))
            store.signal(signal.SIGSTOP)
            times += 1
            await load.until_more(proof.full(20, 200))
            store.signal(signal.SIGCONT)
            await eventually(lambda: not spooled(spooling))
        await load.until_more()
    show_refused(proof, f"PostgreSQL frozen {times} times, spool on", load)
    longest = max(each.seconds for each in load.told)
    proof.show(
        "longest request while PostgreSQL was frozen, spool on",
        counted=len(load.told), bar="≤ 2.5 s", measured=f"{longest:.2f} s", held=longest <= 2.5, timed=True,
    )  # fmt: skip
    await show_agreement(proof, f"PostgreSQL frozen {times} times", store, load)


def kill(gateway: Gateway) -> None:
    for pid in (gateway.process.pid, *gateway.workers()):
        os.kill(pid, signal.SIGKILL)
    gateway.process.wait()


@pytest.mark.proof("A3", seconds=60)
async def test_next_start_brings_back_what_a_killed_gateway_left(
    proof: Proof, start: Start, engine: Engine, store: Store, spooling: dict[str, str]
) -> None:
    acknowledged = Load(await start(route("smol", engine.url), fresh=True, **spooling))
    kills = 0
    for _ in proof.rounds(1, 4):
        async with Load(acknowledged.gateway).clients() as load:
            await load.until_more()
            store.signal(signal.SIGKILL)
            await load.until_more(proof.full(10, 200))
            kill(acknowledged.gateway)
            kills += 1
        acknowledged.told += load.told
        assert spooled(spooling)
        await asyncio.to_thread(store.start)
        acknowledged.gateway = await start(route("smol", engine.url), fresh=True, **spooling)
        await eventually(lambda: not spooled(spooling))
    await show_agreement(proof, f"PostgreSQL and gateway killed {kills} times", store, acknowledged)


def show_closed(proof: Proof, what: str, told: list[Told]) -> None:
    """All of these were begun when nothing could be recorded any more."""
    served = sum(each.acknowledged for each in told)
    longest = max(each.seconds for each in told)
    proof.show(f"requests served, {what}", counted=len(told), bar="0", measured=served, held=not served)
    proof.show(
        f"until 503 audit_unavailable, {what}", counted=len(told), bar="≤ 1 s", measured=f"longest {longest:.2f} s",
        held=longest <= 1, timed=True,
    )  # fmt: skip
    assert {(each.status, each.error) for each in told if not each.acknowledged} == {(503, "audit_unavailable")}


@pytest.mark.proof("A3", seconds=60)
@pytest.mark.parametrize("harm", [signal.SIGKILL, signal.SIGSTOP])
async def test_without_a_spool_nothing_is_served(
    proof: Proof, start: Start, engine: Engine, store: Store, harm: signal.Signals
) -> None:
    gateway = await start(route("smol", engine.url), fresh=True, DATABASE_URL=store.server.url)
    everything, closed = Load(gateway), list[Told]()
    for _ in proof.rounds(1, 5):
        async with Load(gateway).clients() as load:
            await load.until_more()
            store.signal(harm)
            away = time.monotonic()
            await eventually(lambda: len(load.begun_after(away)) > 20)  # noqa: B023
        closed += load.begun_after(away)
        everything.told += load.told
        await asyncio.to_thread(store.start if harm == signal.SIGKILL else lambda: store.signal(signal.SIGCONT))
        await eventually(lambda: _serves(gateway))
    show_closed(proof, f"{harm.name}, spool off", closed)
    await show_agreement(proof, f"{harm.name}, spool off", store, everything)


async def _serves(gateway: Gateway) -> bool:
    return bool((await gateway.chat()).status_code == 200)


@pytest.mark.proof("A3", seconds=60)
async def test_full_spool_refuses_at_once_and_recovers(
    proof: Proof, start: Start, engine: Engine, store: Store, spooling: dict[str, str]
) -> None:
    gateway = await start(route("smol", engine.url), fresh=True, SIGNALBOX_GATEWAY_SPOOL_BYTES="65536", **spooling)
    before, after = Load(gateway), Load(gateway)
    async with before.clients():
        store.signal(signal.SIGKILL)
        await eventually(lambda: before.refused)
    full = time.monotonic()
    async with after.clients():
        await eventually(lambda: len(after.refused) > 20)
    show_closed(proof, "spool full", after.begun_after(full))
    assert (await gateway.http.get("/readyz")).status_code == 503
    await asyncio.to_thread(store.start)
    await eventually(lambda: not spooled(spooling))
    assert (await gateway.chat()).status_code == 200
    await show_agreement(proof, "spool full", store, before)
