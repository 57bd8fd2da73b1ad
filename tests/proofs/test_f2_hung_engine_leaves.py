"""F2: an engine that hangs leaves rotation in time though it looks well; one that is only saturated never does."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import pytest

from bench.limiter import quantile
from tests.inference.conftest import Gateway, Start, eventually, route
from tests.inference.test_hung_engine import QUICK, batch_engine, engine_process
from tests.inference.test_metrics import total
from tests.proofs.client import Answer, Client, NoAnswer
from tests.proofs.proof import Proof

SECONDS = 10.0
CLIENTS = 10
STUCK = 1.0
"""seconds; an answer of these engines takes a tenth of it"""
STREAM = {"stream": True, "max_tokens": 3}


@dataclass
class Asking:
    """Clients that ask all the time; `got` has every request: when it was begun, and its answer."""

    gateway: Gateway
    got: list[tuple[float, Answer | None]] = field(default_factory=list)
    running: bool = True

    async def ask_on(self) -> None:
        client = Client(self.gateway.port, self.gateway.key.token)
        while self.running:
            begun = time.monotonic()
            answer: Answer | None = None
            with contextlib.suppress(NoAnswer, TimeoutError):
                answer = await client.ask(STREAM)
            self.got.append((begun, answer))
            await asyncio.sleep(0.1)
        client.leave()

    @asynccontextmanager
    async def clients(self) -> AsyncIterator[None]:
        tasks = [asyncio.create_task(self.ask_on()) for _ in range(CLIENTS)]
        yield
        self.running = False
        await asyncio.gather(*tasks)

    def failed(self) -> int:
        return sum(answer is None or answer.status != 200 or not answer.whole for _, answer in self.got)

    def stuck_after(self, moment: float) -> int:
        """Requests that were begun later and had to wait for long all the same."""
        return sum(begun > moment and answer.first - begun > STUCK for begun, answer in self.got if answer is not None)

    def longest_wait(self) -> float:
        return max(answer.first - begun for begun, answer in self.got if answer is not None)


async def out(gateway: Gateway) -> float:
    return await total(gateway, "signalbox_gateway_ejected_replicas")


async def _is(value: Awaitable[float], wanted: float) -> bool:
    return await value == wanted


@dataclass
class Outcome:
    """What came of some rounds."""

    waits: list[float] = field(default_factory=list)
    """seconds until it was out of rotation"""
    asked: int = 0
    failed: int = 0
    stuck: int = 0
    longest: float = 0.0

    async def watch(self, gateway: Gateway, harm: Callable[[], None], heal: Callable[[], None], seconds: float) -> None:
        """One round; `seconds` is how long it is watched once it is out."""
        asking = Asking(gateway)
        async with asking.clients():
            await asyncio.sleep(1)
            harmed = time.monotonic()
            harm()
            await eventually(lambda: _is(out(gateway), 1), 3 * SECONDS)
            left = time.monotonic()
            await asyncio.sleep(seconds)
            heal()
            await eventually(lambda: _is(out(gateway), 0), 30)
        self.waits.append(left - harmed)
        self.asked += len(asking.got)
        self.failed += asking.failed()
        self.stuck += asking.stuck_after(left)
        self.longest = max(self.longest, asking.longest_wait())

    def show(self, proof: Proof, what: str) -> None:
        proof.show(
            f"{what} leaves rotation",
            counted=len(self.waits), bar=f"≤ {SECONDS:g} s", held=max(self.waits) <= SECONDS,
            measured=f"{min(self.waits):.1f} to {max(self.waits):.1f} s",
        )  # fmt: skip
        proof.show(
            f"requests that failed, or were sent to it later, {what}",
            counted=self.asked, bar="0 and 0", held=self.failed == self.stuck == 0,
            measured=f"{self.failed} and {self.stuck} (longest wait for a first byte {self.longest:.1f} s)",
        )  # fmt: skip


@pytest.mark.parametrize(
    "kind",
    [
        pytest.param("a stopped process", marks=pytest.mark.proof("F2", seconds=120)),
        pytest.param("an engine whose steps stall", marks=pytest.mark.proof("F2", seconds=120, small=False)),
    ],
)
async def test_hung_engine(proof: Proof, kind: str, start: Start) -> None:
    """Stopped: the kernel takes connections, nobody answers. Stalled: health and metrics answer, nothing moves."""
    outcome, environment = Outcome(), {} if proof.soak else QUICK
    with engine_process() as process:
        async with batch_engine() as (stalled, bad), batch_engine() as (_, well):
            stops = kind == "a stopped process"
            url, harm, heal = (
                (process.url, process.stop, process.go_on) if stops else (bad.url, stalled.pace.clear, stalled.pace.set)
            )
            gateway = await start(route("smol", url, well.url), fresh=True, **environment)
            await eventually(lambda: well.polls >= 2, 30)  # the gateway has read the metrics
            for _ in proof.rounds(1, 2):
                await outcome.watch(gateway, harm, heal, proof.full(0.5, 4.0))
    outcome.show(proof, kind)


@pytest.mark.proof("F2", seconds=120, small=False)
async def test_saturated_engines_stay(proof: Proof, start: Start) -> None:
    """Far more is asked for than they can do, so most wait for longer than it takes to call an engine hung."""
    waits, failed = list[float](), 0

    async def ask_on(gateway: Gateway, until: float) -> None:
        nonlocal failed
        client = Client(gateway.port, gateway.key.token)
        while time.monotonic() < until:
            answer = await client.ask({"max_tokens": 100}, seconds=120)
            failed += answer.status != 200
            waits.append(answer.first - answer.asked)
        client.leave()

    async with batch_engine() as (_, first), batch_engine() as (_, second):
        gateway = await start(route("smol", first.url, second.url), fresh=True)
        await eventually(lambda: first.polls >= 2 and second.polls >= 2, 30)
        until = time.monotonic() + 45
        await asyncio.gather(*(ask_on(gateway, until) for _ in range(48)))
        ejections = await total(gateway, "signalbox_gateway_ejections_total")
    longest = quantile(waits, 1) / 1000
    proof.show(
        f"ejections of saturated engines, answers took up to {longest:.0f} s",
        counted=len(waits), bar="0 ejected, 0 failed", measured=f"{ejections:.0f} ejected, {failed} failed",
        held=not ejections and not failed,
    )  # fmt: skip
