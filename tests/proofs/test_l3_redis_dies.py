"""L3: Redis is killed and emptied again and again: all gateways together stay within every limit, and nobody waits."""

import asyncio
import random
import time
from collections import Counter
from pathlib import Path

import msgspec
import pytest

from bench.limiter import quantile
from inference.contract.limits import LimitEntry
from tests.inference.conftest import PROJECT, Key, Start, route
from tests.inference.engine import Asked, Engine, answer
from tests.inference.limits.conftest import Valkey
from tests.proofs.client import Client
from tests.proofs.limiters import QUICK_WINDOW_MS, Limiters, admitted, limiters, most_in_a_window
from tests.proofs.proof import Proof

RATE = 240
LONGEST_DECISION_MS = 5


@pytest.fixture
def redis_url(valkey: Valkey) -> str:
    """A server on which nobody else counts."""
    return valkey.url


def show(proof: Proof, running: Limiters, what: str, harm: str) -> int:
    """The rows of a run; answers with how many requests were let through without Redis in the worst minute."""
    decisions = running.finish()
    requests, tokens = admitted(decisions, "requests"), admitted(decisions, "tokens")
    assert len(requests) > RATE, "it does not go on"
    worst = most_in_a_window([(each.at, 1) for each in requests], QUICK_WINDOW_MS)
    spent = most_in_a_window([(each.at, each.tokens) for each in tokens], QUICK_WINDOW_MS)
    proof.show(
        f"worst minute, {what}",
        counted=f"{harm}, {len(requests):,} requests, {len(tokens):,} with tokens",
        bar=f"≤ {RATE} requests, ≤ {10 * RATE:,} tokens", measured=f"{worst} requests, {spent:,} tokens",
        held=worst <= RATE and spent <= 10 * RATE,
    )  # fmt: skip
    dead = [each.took / 1000 for each in decisions if not each.alive]
    proof.show(
        f"a decision without Redis, {what}",
        counted=len(dead), bar=f"p99 < {LONGEST_DECISION_MS} ms",
        timed=True, held=quantile(dead, 0.99) < LONGEST_DECISION_MS,
        measured=f"p50 {quantile(dead, 0.5):.2f}, p99 {quantile(dead, 0.99):.2f}, longest {quantile(dead, 1):.1f} ms",
    )  # fmt: skip
    return most_in_a_window([(each.at, 1) for each in requests if not each.alive], QUICK_WINDOW_MS)


@pytest.mark.proof("L3", seconds=120)
def test_killed_and_emptied_again_and_again(proof: Proof, valkey: Valkey, tmp_path: Path) -> None:
    dice, harm = random.Random(3), Counter[str]()
    with limiters(tmp_path / "out") as running:
        running.start(4, url=valkey.url, seconds=proof.full(6.0, 70.0), rate=RATE, quick=True, pause=0.01)
        for number in proof.rounds(4, 40):
            time.sleep(dice.uniform(0.3, 1.2))
            if number % 2:
                harm["wipes"] += 1
                with valkey.client() as client:
                    client.flushall()
            else:
                harm["kills"] += 1
                valkey.kill()
                time.sleep(dice.choice((0.02, 0.3, 1.0)))
                valkey.start()
        show(proof, running, "killed and emptied", f"{harm['kills']} kills, {harm['wipes']} wipes")


@pytest.mark.proof("L3", seconds=60)
def test_dead_for_longer_than_a_window(proof: Proof, valkey: Valkey, tmp_path: Path) -> None:
    with limiters(tmp_path / "out") as running:
        running.start(3, url=valkey.url, seconds=8.0, rate=RATE, quick=True, pause=0.005)
        time.sleep(0.6)
        valkey.kill()
        time.sleep(5)
        valkey.start()
        alone = show(proof, running, "dead for longer than a minute", "1 kill")
    proof.show(
        "let through without Redis in a minute, all shares together",
        counted=alone, bar=f"{RATE}", measured=alone, held=alone == RATE,
    )  # fmt: skip


async def hammer(client: Client, seen: Counter[str], until: float) -> None:
    while time.monotonic() < until:
        got = await client.ask({"max_tokens": 1})
        seen[str(got.status) if got.status in {200, 429} else got.error or str(got.status)] += 1
        await asyncio.sleep(0.02)
    client.leave()


@pytest.mark.proof("L3", seconds=150, small=False)
async def test_gateway_goes_on_within_its_limits(proof: Proof, start: Start, key: Key, valkey: Valkey) -> None:
    """Over HTTP, by the engine's clock, with whole minutes; tables and limits were read before Redis died."""
    limit, window_ms, asked, seen, kills = 120, 59_900, list[tuple[int, int]](), Counter[str](), 0

    async def note(engine: Engine, request: Asked, writer: asyncio.StreamWriter) -> None:
        asked.append((round(time.monotonic() * 1000), 1))
        await answer(engine, request, writer)

    entry = LimitEntry(PROJECT, key=key.entry.id, requests_per_minute=limit)
    key.entry = msgspec.structs.replace(key.entry, limits=(entry,))
    async with Engine(note) as engine:
        gateway = await start(route("smol", engine.url), fresh=True, SIGNALBOX_GATEWAY_WORKERS="4")
        clients = [Client(gateway.port, key.token) for _ in range(8)]
        until = time.monotonic() + 100
        hammering = [asyncio.create_task(hammer(client, seen, until)) for client in clients]
        for _ in proof.rounds(1, 20):
            await asyncio.sleep(3)
            await asyncio.to_thread(valkey.kill)
            kills += 1
            await asyncio.sleep(0.5)
            await asyncio.to_thread(valkey.start)
        await asyncio.gather(*hammering)
    worst = most_in_a_window(asked, window_ms)
    assert set(seen) <= {"200", "429", "limits_unavailable"}, seen
    assert worst > limit / 4, f"it does not go on: {seen}"
    proof.show(
        "requests at the engine in the worst minute, a gateway of 4 workers",
        counted=f"{kills} kills, {len(asked):,} of {seen.total():,} asked for",
        bar=f"≤ {limit}", measured=worst, held=worst <= limit,
    )  # fmt: skip
