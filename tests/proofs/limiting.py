"""A gateway process as far as limits go: asks as often as it can and writes down the server's time of each admission.

    python -m tests.proofs.limiting '{"url": …, "out": …}'      the fields of `Task`

Everybody asks for more than there is: requests, tokens and slots, each under a limit of its own.
"""

import asyncio
import random
import sys
import time
from pathlib import Path
from typing import Any

import msgspec

from inference.contract.limits import LimitEntry
from inference.limits import Lease, Limiter, LimitError
from tests.inference.limits import builds

SLOTS = 4
ASKING_FOR_SLOTS = 3
"""tasks a process"""


class Task(msgspec.Struct, kw_only=True):
    """What one process does."""

    url: str
    out: str
    gateways: int
    place: int
    seconds: float
    rate: int
    """requests in a window; tokens are ten times as many"""
    quick: bool
    """a minute that lasts three seconds"""
    lease: float = 1.0
    pause: float = 0.02
    hold: bool = False
    """take slots, never give one back, and nothing else"""


class Decision(msgspec.Struct, kw_only=True):
    """One answer of the limiter. Moments are milliseconds of the server's clock."""

    kind: str
    took: float
    """milliseconds"""
    alive: bool
    """Redis decided"""
    at: int = 0
    """0: refused"""
    until: float = 0.0
    """when it ended"""
    tokens: int = 0


def entry(kind: str, rate: int) -> LimitEntry:
    """The limit that holds there."""
    if kind == "requests":
        return LimitEntry("acme", key="k1", requests_per_minute=rate)
    if kind == "tokens":
        return LimitEntry("acme", key="k2", tokens_per_minute=10 * rate)
    return LimitEntry("acme", key="k3", concurrency=SLOTS)


class Process:
    def __init__(self, task: Task, limiter: Limiter) -> None:
        self._task, self._limiter = task, limiter
        self._end = time.monotonic() + task.seconds
        self._out = Path(task.out).open("ab", buffering=0)  # noqa: SIM115 - it may be killed at any moment
        self._dice = random.Random(task.place)
        self._held: list[Lease] = []

    async def ask(self, kind: str) -> None:
        limits = (entry(kind, self._task.rate),)
        while time.monotonic() < self._end:
            tokens = self._dice.randint(1, 40) if kind == "tokens" else 0
            alive, begun = self._limiter.alive, time.perf_counter()
            try:
                lease = await self._limiter.admit(limits, tokens)
            except LimitError:
                lease = None
            said = Decision(kind=kind, took=1000 * (time.perf_counter() - begun), alive=alive)
            if lease is not None:
                said.at = lease.at
                await self._use(lease, said, tokens)
            self._out.write(msgspec.json.encode(said) + b"\n")
            await asyncio.sleep(self._task.pause)

    async def _use(self, lease: Lease, said: Decision, tokens: int) -> None:
        if self._task.hold:
            self._held.append(lease)
            return
        if said.kind == "slots":
            await asyncio.sleep(self._dice.uniform(0.005, 0.04))
            said.until = time.time() * 1000  # Redis runs on this machine and has its clock
        said.tokens = self._dice.randint(tokens // 2, tokens)
        lease.settle(said.tokens)

    async def run(self) -> None:
        kinds = ["slots"] * ASKING_FOR_SLOTS + ([] if self._task.hold else ["requests", "tokens"])
        await asyncio.gather(*(self.ask(kind) for kind in kinds))


async def main(task: Task) -> None:
    limiter = Limiter(
        task.url, gateways=task.gateways, place=task.place, lease=task.lease, longest_request=5.0 * task.lease
    )
    await limiter.start()
    print("ready", flush=True)
    await Process(task, limiter).run()
    await limiter.close()


if __name__ == "__main__":
    arguments: Any = msgspec.json.decode(sys.argv[1], type=Task)
    if arguments.quick:
        builds.quickened()
    asyncio.run(main(arguments))
