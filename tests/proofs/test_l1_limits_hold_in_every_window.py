"""L1: many processes together let through no more than the limit in any sliding window, and hardly less."""

import asyncio
import time
from collections import Counter
from pathlib import Path

import msgspec
import pytest

from inference.contract.limits import LimitEntry
from inference.limits import Limiter, LimitExceeded
from tests.inference.conftest import PROJECT, Key, Start, route
from tests.inference.engine import Asked, Engine, answer
from tests.inference.limits.conftest import Valkey
from tests.proofs.client import Client
from tests.proofs.limiters import (
    QUICK_WINDOW_MS,
    admitted,
    limiters,
    most_at_once,
    most_in_a_window,
    under_admission,
)
from tests.proofs.limiting import SLOTS, Decision
from tests.proofs.proof import Proof

MOST_UNDER = 1 / 60


@pytest.fixture
def redis_url(valkey: Valkey) -> str:
    """A server on which nobody else counts."""
    return valkey.url


def show_windows(proof: Proof, decisions: list[Decision], processes: int, rate: int, window: int) -> None:
    """What was let through in the worst window and at the worst moment."""
    requests, tokens, slots = (admitted(decisions, kind) for kind in ("requests", "tokens", "slots"))
    told = f"{processes} processes, a minute of {window / 1000:g} s"
    worst = most_in_a_window([(each.at, 1) for each in requests], window)
    counted = f"{len(requests):,} of {sum(each.kind == 'requests' for each in decisions):,} asked for"
    proof.show(
        f"requests in the worst minute, {told}",
        counted=counted, bar=f"≤ {rate:,}", measured=worst, held=worst <= rate,
    )  # fmt: skip
    worst = most_in_a_window([(each.at, each.tokens) for each in tokens], window)
    counted = f"{sum(each.tokens for each in tokens):,} in {len(tokens):,} requests"
    proof.show(
        f"tokens in the worst minute, {told}",
        counted=counted, bar=f"≤ {10 * rate:,}", measured=worst, held=worst <= 10 * rate,
    )  # fmt: skip
    most = most_at_once(slots)
    assert most >= SLOTS, "nobody ever used all slots"
    proof.show(
        f"requests at once, {processes} processes",
        counted=len(slots), bar=f"≤ {SLOTS}", measured=most, held=most <= SLOTS,
    )  # fmt: skip


@pytest.mark.parametrize(
    "processes",
    [
        pytest.param(4, marks=pytest.mark.proof("L1", seconds=60)),
        pytest.param(8, marks=pytest.mark.proof("L1", seconds=60, small=False)),
    ],
)
def test_quick_windows(proof: Proof, processes: int, valkey: Valkey, tmp_path: Path) -> None:
    with limiters(tmp_path / "out") as running:
        running.start(processes, url=valkey.url, seconds=proof.full(6.6, 30.0), rate=240, quick=True)
        show_windows(proof, running.finish(), processes, 240, QUICK_WINDOW_MS)


@pytest.mark.proof("L1", seconds=150, small=False)
def test_whole_minutes(proof: Proof, valkey: Valkey, tmp_path: Path) -> None:
    rate, window = 1200, 60_000
    with limiters(tmp_path / "out") as running:
        running.start(8, url=valkey.url, seconds=125, rate=rate, quick=False)
        decisions = running.finish()
    show_windows(proof, decisions, 8, rate, window)
    at = [each.at for each in admitted(decisions, "requests")]
    under = under_admission(at, rate, window)
    assert under is not None, f"only {len(at)} admissions: the limit was never used up"
    proof.show(
        "let through less than the limit, 8 processes, whole minutes",
        counted=len(at), bar=f"≤ {MOST_UNDER:.4f}", measured=f"{under:.4f}", held=under <= MOST_UNDER,
    )  # fmt: skip


async def hammer(client: Client, seen: Counter[int], until: float) -> None:
    while time.monotonic() < until:
        seen[(await client.ask({"max_tokens": 1})).status] += 1
        await asyncio.sleep(0.02)
    client.leave()


@pytest.mark.proof("L1", seconds=120, small=False)
@pytest.mark.parametrize("workers", [4, 8])
async def test_workers_of_a_gateway(proof: Proof, workers: int, start: Start, key: Key) -> None:
    """By the engine's clock, a little later than the server's: what it was asked is what was let through."""
    limit, window_ms, asked, seen = 300, 59_900, list[tuple[int, int]](), Counter[int]()

    async def note(engine: Engine, request: Asked, writer: asyncio.StreamWriter) -> None:
        asked.append((round(time.monotonic() * 1000), 1))
        await answer(engine, request, writer)

    entry = LimitEntry(PROJECT, key=key.entry.id, requests_per_minute=limit)
    key.entry = msgspec.structs.replace(key.entry, limits=(entry,))
    async with Engine(note) as engine:
        gateway = await start(route("smol", engine.url), fresh=True, SIGNALBOX_GATEWAY_WORKERS=str(workers))
        clients = [Client(gateway.port, key.token) for _ in range(4 * workers)]
        until = time.monotonic() + 70
        await asyncio.gather(*(hammer(client, seen, until) for client in clients))
    worst = most_in_a_window(asked, window_ms)
    assert worst > limit / 2, f"the limit was hardly used: {seen}"
    assert set(seen) <= {200, 429, 503}, seen
    proof.show(
        f"requests at the engine in the worst minute, a gateway of {workers} workers",
        counted=f"{len(asked):,} of {seen.total():,} asked for", bar=f"≤ {limit}", measured=worst, held=worst <= limit,
    )  # fmt: skip


@pytest.mark.proof("L1", seconds=60)
async def test_refused_requests_consume_nothing(proof: Proof, valkey: Valkey) -> None:
    """One limit of several refuses: all others are as they were."""
    limiter = Limiter(valkey.url)
    await limiter.start()
    wide = LimitEntry("acme", key="k1", requests_per_minute=10**6, tokens_per_minute=10**9, concurrency=10**6)
    narrow = LimitEntry("acme", requests_per_minute=3)
    refused = 0
    async with asyncio.timeout(60):
        for _ in range(3):
            (await limiter.admit((wide, narrow), 10)).settle(10)
        for _ in proof.rounds(300, 20_000):
            with pytest.raises(LimitExceeded):
                await limiter.admit((wide, narrow), 10)
            refused += 1
        left = dict((await limiter.admit((wide,), 10)).headers)
    await limiter.close()
    requests = 10**6 - 4 - int(left[b"x-ratelimit-remaining-requests"])
    tokens = 10**9 - 40 - int(left[b"x-ratelimit-remaining-tokens"])
    proof.show(
        "consumed by refused requests", counted=refused, bar="0 requests, 0 tokens",
        measured=f"{requests} requests, {tokens} tokens", held=requests == tokens == 0,
    )  # fmt: skip
