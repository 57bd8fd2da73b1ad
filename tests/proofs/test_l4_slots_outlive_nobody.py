"""L4: whatever dies while it holds slots, they are free again within the lease."""

import asyncio
import os
import signal
import time
from pathlib import Path

import msgspec
import pytest

from inference.contract.limits import LimitEntry
from tests.inference.conftest import PROJECT, Gateway, Key, Start, route
from tests.inference.engine import Engine
from tests.inference.limits.conftest import Valkey
from tests.proofs.client import Client
from tests.proofs.engine import obey
from tests.proofs.limiters import Limiters, admitted, limiters
from tests.proofs.limiting import SLOTS
from tests.proofs.proof import Proof
from tests.waiting import eventually

POLL = 0.25
"""seconds; by so much a free slot may be noticed late"""
LEASE = 30.0


@pytest.fixture
def redis_url(valkey: Valkey) -> str:
    """A server on which nobody else counts."""
    return valkey.url


def show(proof: Proof, what: str, waits: list[float], lease: float) -> None:
    proof.show(
        what, counted=len(waits), bar=f"≤ {lease:g} s", held=max(waits) <= lease + POLL,
        timed=True, measured=f"{min(waits):.2f} to {max(waits):.2f} s",
    )  # fmt: skip


async def all_held(running: Limiters, since_ms: float) -> float:
    """Seconds until as many slots as there are were given out anew."""

    def again() -> list[int]:
        return [each.at for each in admitted(running.decisions(), "slots") if each.at > since_ms]

    await eventually(lambda: len(again()) >= SLOTS)
    return (again()[SLOTS - 1] - since_ms) / 1000


@pytest.mark.proof("L4", seconds=60)
async def test_slots_of_killed_processes(proof: Proof, valkey: Valkey, tmp_path: Path) -> None:
    """Two processes hold all slots, die at once, and are replaced by two that want them."""
    lease, waits = 1.0, list[float]()
    task = {"url": valkey.url, "seconds": 30.0, "rate": 1, "quick": True, "lease": lease, "hold": True}
    with limiters(tmp_path / "out") as running:
        running.start(2, **task)
        await all_held(running, 0)
        for _ in proof.rounds(2, 20):
            killed = time.time() * 1000
            for process in running.processes:
                process.kill()
            running.start(2, **task)
            waits.append(await all_held(running, killed))
    show(proof, f"slots of killed processes are free again, a lease of {lease:g} s", waits, lease)


async def hold(client: Client) -> None:
    """Ask until let in, and keep the stream open."""
    while True:
        answer = await client.ask({"stream": True, "chunks": 10**6, "pause": 1}, seconds=3600)
        assert answer.status in {200, 429, 503}, answer
        await asyncio.sleep(POLL / 2)


def kill_workers(gateway: Gateway) -> None:
    for pid in gateway.workers():
        os.kill(pid, signal.SIGKILL)


def kill_all(gateway: Gateway) -> None:
    kill_workers(gateway)
    gateway.process.kill()
    gateway.process.wait()


async def held(gateway: Gateway, engine: Engine) -> list[asyncio.Task[None]]:
    """All slots, taken by streams."""
    clients = [Client(gateway.port, gateway.key.token) for _ in range(SLOTS)]
    holding = [asyncio.create_task(hold(client)) for client in clients]
    before = len(engine.asked)
    await eventually(lambda: len(engine.asked) - before == SLOTS, 2 * LEASE)
    return holding


@pytest.mark.proof("L4", seconds=160, small=False)
async def test_slots_of_killed_gateways(proof: Proof, start: Start, key: Key) -> None:
    """The real lease: a gateway is killed with all its workers and started anew, or only its workers are."""
    entry = LimitEntry(PROJECT, key=key.entry.id, concurrency=SLOTS)
    key.entry = msgspec.structs.replace(key.entry, limits=(entry,))
    waits: list[float] = []
    async with Engine(obey) as engine:

        async def gateway_of_two() -> Gateway:
            return await start(route("smol", engine.url), fresh=True, SIGNALBOX_GATEWAY_WORKERS="2")

        gateway = await gateway_of_two()
        holding = await held(gateway, engine)
        for number in proof.rounds(0, 3):
            killed = time.monotonic()
            (kill_all if number % 2 else kill_workers)(gateway)
            for task in holding:
                task.cancel()
            await asyncio.gather(*holding, return_exceptions=True)
            if number % 2:
                gateway = await gateway_of_two()
            holding = await held(gateway, engine)
            waits.append(time.monotonic() - killed)
    for task in holding:
        task.cancel()
    show(proof, "slots of a killed gateway, of killed workers, are free again", waits, LEASE)
