"""F2: a hung engine leaves rotation though its port is open, nothing is lost by it, and a saturated one stays."""

import asyncio
import time
from collections import Counter
from collections.abc import Callable

import pytest

from tests.inference.batch_engine import EngineProcess, engine_process
from tests.inference.conftest import Gateway, Start, route
from tests.inference.test_metrics import total
from tests.proofs.client import Answer, Client, NoAnswer
from tests.proofs.proof import Proof
from tests.waiting import eventually

CLIENTS = 24
TOKENS = 20
SOON = 10.0
LATEST = 30.0
"""seconds after which the engine is taken for never leaving"""

Manner = tuple[Callable[[EngineProcess], None], Callable[[EngineProcess], None]]
MANNERS: dict[str, Manner] = {
    "frozen, its port open": (EngineProcess.stop, EngineProcess.go_on),
    "its steps stand, its metrics answer": (EngineProcess.stall, EngineProcess.step_on),
}


def verdict(answer: Answer) -> str:
    """What the client has to think of it."""
    if answer.status != 200:
        return f"refused: {answer.status}"
    if answer.whole and (answer.done or answer.body.endswith(b"}")):
        return "whole"
    return "told" if answer.whole and answer.error else "truncated"


class Load:
    """Clients that ask for ever, plain and streamed, more than the engines can run at once."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway
        self.seen: Counter[str] = Counter()
        self.replica = ""
        """the last that answered"""

    async def __aenter__(self) -> "Load":
        self._over = False
        self._tasks = [asyncio.create_task(self._ask_on(bool(number % 2))) for number in range(CLIENTS)]
        return self

    async def __aexit__(self, *_: object) -> None:
        """What was asked is answered."""
        self._over = True
        await asyncio.gather(*self._tasks)

    async def _ask_on(self, stream: bool) -> None:
        client = Client(self._gateway.port, self._gateway.key.token)
        while not self._over:
            try:
                answer = await client.ask({"stream": stream, "max_tokens": TOKENS})
            except NoAnswer:
                self.seen["refused: no answer"] += 1
            except TimeoutError:
                self.seen["hung"] += 1
            else:
                self.seen[verdict(answer)] += 1
                self.replica = answer.headers.get("x-signalbox-replica", "")
        client.leave()


async def hung(gateway: Gateway) -> float:
    return await total(gateway, "signalbox_gateway_ejections_total", reason="hung")


async def until_it_leaves(gateway: Gateway, hang: Callable[[EngineProcess], None], victim: EngineProcess) -> float:
    """Seconds until the gateway has found out."""
    before, since = await hung(gateway), time.monotonic()
    hang(victim)

    async def is_found_out() -> bool:
        return await hung(gateway) > before

    await eventually(is_found_out, LATEST)
    return time.monotonic() - since


@pytest.mark.proof("F2", seconds=240, small=False)
async def test_hung_engine_leaves_and_loses_nothing(proof: Proof, start: Start) -> None:
    with engine_process() as one, engine_process() as other:
        gateway = await start(route("smol", one.url, other.url), fresh=True)
        await one.told_its_metrics()
        await other.told_its_metrics()
        for manner, (hang, mend) in MANNERS.items():
            seconds = []
            async with Load(gateway) as load:
                for number in proof.rounds(1, 4):
                    victim, name = ((one, "smol-0"), (other, "smol-1"))[number % 2]
                    await asyncio.sleep(2)
                    seconds.append(await until_it_leaves(gateway, hang, victim))
                    await asyncio.sleep(1)
                    mend(victim)
                    await eventually(lambda name=name: load.replica == name)
            seen = load.seen
            counted = f"{sum(seen.values()):,} requests, {len(seconds)} hangs ({manner}), {seen['told']} streams told"
            slowest = max(seconds)
            proof.show(
                "slowest to leave rotation", counted=counted, bar=f"≤ {SOON:g} s", measured=f"{slowest:.1f} s",
                held=slowest <= SOON, timed=True,
            )  # fmt: skip
            refused = sum(count for what, count in seen.items() if what.startswith("refused"))
            proof.show("errors before the first byte", counted=counted, bar="0", measured=refused, held=refused == 0)
            silent = seen["truncated"] + seen["hung"]
            proof.show("silent truncations", counted=counted, bar="0", measured=silent, held=silent == 0)


@pytest.mark.proof("F2", seconds=120, small=False)
async def test_saturated_engines_stay(proof: Proof, start: Start) -> None:
    """Most wait for longer than it takes to call an engine hung, and no byte comes meanwhile."""
    waits, failed = list[float](), 0

    async def ask_on(gateway: Gateway, until: float) -> None:
        nonlocal failed
        client = Client(gateway.port, gateway.key.token)
        while time.monotonic() < until:
            answer = await client.ask({"max_tokens": 100}, seconds=120)
            failed += answer.status != 200
            waits.append(answer.first - answer.asked)
        client.leave()

    with engine_process() as one, engine_process() as other:
        gateway = await start(route("smol", one.url, other.url), fresh=True)
        await one.told_its_metrics()
        await other.told_its_metrics()
        until = time.monotonic() + 45
        await asyncio.gather(*(ask_on(gateway, until) for _ in range(48)))
        ejections = int(await total(gateway, "signalbox_gateway_ejections_total"))
    assert max(waits) > SOON, "they were not saturated"
    proof.show(
        f"saturated engines that left, with answers of up to {max(waits):.0f} s",
        counted=len(waits), bar="0 left, 0 failed", measured=f"{ejections} left, {failed} failed",
        held=not ejections and not failed,
    )  # fmt: skip
