"""F3: a client that leaves closes its engine connection at once, on every path, and the register says so."""

import asyncio
import time
from typing import Any

import pytest

from bench.limiter import quantile
from tests.inference.conftest import Gateway, RegisterReader, Start, route
from tests.inference.engine import STREAM_HEAD, Asked, Engine, chunk, delta
from tests.proofs.client import Client
from tests.proofs.proof import Proof
from tests.waiting import eventually

AT_ONCE = 20
SOON_MS = 200
LATEST = 5.0
"""seconds after which the engine is taken for not told at all"""
PHASES: dict[str, dict[str, Any]] = {
    "before the first token": {"stream": True},
    "mid-stream, silent": {"stream": True, "begin": True},
    "mid-stream, flowing": {"stream": True, "begin": True, "flow": True},
    "non-stream": {},
}


class Visits:
    """What the engine sees of each client."""

    def __init__(self) -> None:
        self.arrived: dict[str, asyncio.Event] = {}
        self.closed: dict[str, asyncio.Future[float]] = {}

    def expect(self, name: str) -> None:
        self.arrived[name] = asyncio.Event()
        self.closed[name] = asyncio.get_running_loop().create_future()

    async def hold(self, engine: Engine, asked: Asked, writer: asyncio.StreamWriter) -> None:
        """Answer no further than it was asked to, until the gateway closes."""
        wish = asked.json
        try:
            if wish.get("begin"):
                writer.write(STREAM_HEAD + chunk(delta("x")))
            self.arrived[wish["user"]].set()
            while wish.get("flow"):
                writer.write(chunk(delta("x")))
                await writer.drain()
                await asyncio.sleep(0.01)
            await asyncio.sleep(3600)
        finally:
            self.closed[wish["user"]].set_result(time.monotonic())


async def leave(gateway: Gateway, visits: Visits, name: str, fields: dict[str, Any]) -> float:
    """Seconds from the client's leaving until the engine saw its connection close; infinite if it never did."""
    visits.expect(name)
    client = Client(gateway.port, gateway.key.token)
    asking = asyncio.create_task(client.ask({"user": name, **fields}))
    await visits.arrived[name].wait()
    if fields.get("begin"):
        await eventually(lambda: client.seen)
    await asyncio.sleep(0.02)
    left = time.monotonic()
    client.leave()
    await asyncio.gather(asking, return_exceptions=True)
    try:
        return await asyncio.wait_for(visits.closed[name], LATEST) - left
    except TimeoutError:
        return float("inf")


@pytest.mark.proof("F3", seconds=60)
@pytest.mark.parametrize("phase", PHASES)
async def test_leaving_closes_the_upstream(proof: Proof, phase: str, start: Start, register: RegisterReader) -> None:
    visits, waits = Visits(), list[float]()
    async with Engine(visits.hold) as engine:
        gateway = await start(route("smol", engine.url))
        for number in proof.rounds(2, 50):
            together = (leave(gateway, visits, f"{number}-{i}", PHASES[phase]) for i in range(AT_ONCE))
            waits += await asyncio.gather(*together)
        assert len(engine.asked) == len(waits)
    soon = sum(wait <= SOON_MS / 1000 for wait in waits)
    told = f"{soon:,} of {len(waits):,} (p50 {quantile(waits, 0.5):.1f}, longest {quantile(waits, 1):.1f} ms)"
    proof.show(
        f"upstream closed in {SOON_MS} ms, {phase}",
        counted=len(waits), bar="all", measured=told, held=soon == len(waits), timed=float("inf") not in waits,
    )  # fmt: skip
    await eventually(lambda: len(register.rows(kind="outcome", status="client_closed")) == len(waits))
