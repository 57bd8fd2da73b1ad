"""F6: gateway and engines are restarted under load, one after the other: no request fails and no stream is cut."""

import asyncio
import signal
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import pytest

from tests.inference.conftest import Gateway, Publisher, Start, route
from tests.proofs.client import Answer, Client, NoAnswer
from tests.proofs.engines import EngineProcess, engines
from tests.proofs.proof import Proof
from tests.waiting import eventually

WORKERS = 2
STREAMS = 64
CLIENTS = 8
PAUSE = 0.5
"""seconds between two events of a stream"""


def whole(answer: Answer, chunks: int) -> bool:
    """Every event of a stream has come, and its end."""
    return answer.whole and answer.events[-1] == b"[DONE]" and answer.body.count(b'"content": "') == chunks


@dataclass
class Load:
    """Long streams, and short requests beside them. `failed` says what went wrong how often."""

    gateway: Gateway
    failed: Counter[str] = field(default_factory=Counter)
    streams: int = 0
    short: int = 0
    _streaming: list[asyncio.Task[None]] = field(default_factory=list)

    def begin_streams(self, count: int, seconds: float) -> None:
        """So many streams that last so long."""
        self._streaming += [asyncio.create_task(self._stream(seconds)) for _ in range(count)]

    async def streams_end(self) -> None:
        await asyncio.gather(*self._streaming)

    async def _stream(self, seconds: float) -> None:
        chunks = max(2, round(seconds / PAUSE))
        client = Client(self.gateway.port, self.gateway.key.token)
        wish = {"stream": True, "chunks": chunks, "pause": PAUSE}
        self.streams += 1
        await self._ask(client, "stream", wish, chunks, seconds + 120)
        client.leave()

    async def _ask(self, client: Client, kind: str, wish: dict[str, object], chunks: int, seconds: float) -> None:
        try:
            answer = await client.ask(wish, seconds=seconds)
        except (NoAnswer, TimeoutError) as exc:
            self.failed[f"{kind}: {type(exc).__name__}"] += 1
            return
        if answer.status != 200 or answer.error or not (whole(answer, chunks) if wish.get("stream") else answer.whole):
            self.failed[f"{kind}: {answer.status} {answer.error or 'cut'}"] += 1

    @asynccontextmanager
    async def short_requests(self) -> AsyncIterator[None]:
        """Some clients keep their connection, some take a new one for each request."""
        self._asking = True
        tasks = [asyncio.create_task(self._ask_on(number)) for number in range(CLIENTS)]
        await asyncio.sleep(0.5)
        yield
        self._asking = False
        await asyncio.gather(*tasks)

    async def _ask_on(self, number: int) -> None:
        client = Client(self.gateway.port, self.gateway.key.token)
        while self._asking:
            await self._ask(client, "request", {"stream": bool(number % 2)}, 2, 30)
            self.short += 1
            if number % 4 == 3:
                client.leave()
            await asyncio.sleep(0.005)
        client.leave()

    def show(self, proof: Proof, what: str, counted: str) -> None:
        failed = self.failed.total()
        told = f"{failed} ({', '.join(f'{n} × {name}' for name, n in self.failed.items())})" if failed else "0"
        proof.show(
            what, counted=f"{counted}, {self.streams:,} streams, {self.short:,} short requests",
            bar="0 failed, 0 cut", measured=told, held=not failed,
        )  # fmt: skip


async def replace_workers(gateway: Gateway) -> None:
    """SIGHUP, and wait until there are as many new workers; the old ones may have streams to finish."""
    before = set(gateway.workers())
    gateway.process.send_signal(signal.SIGHUP)
    await eventually(lambda: len(set(gateway.workers()) - before) == WORKERS, 120)


@pytest.mark.proof("F6", seconds=660)
async def test_gateway_is_restarted(proof: Proof, start: Start) -> None:
    """Its workers are replaced again and again (SIGHUP), then it is told to end (SIGTERM); all streams outlast that."""
    restarts = 0
    rounds, seconds = proof.full(1, 8), proof.full(6.0, 590.0)
    with engines(1) as (engine,):
        gateway = await start(route("smol", engine.url), fresh=True, SIGNALBOX_GATEWAY_WORKERS=str(WORKERS))
        await eventually(lambda: len(gateway.workers()) == WORKERS)
        load, end = Load(gateway), time.monotonic() + seconds
        async with load.short_requests():
            load.begin_streams(STREAMS // 2, seconds)
            for _ in proof.rounds(rounds, rounds):
                await replace_workers(gateway)
                load.begin_streams(STREAMS // 2 // rounds, end - time.monotonic())
                restarts += 1
                await asyncio.sleep(1)
        gateway.process.send_signal(signal.SIGTERM)
        await load.streams_end()
        assert await asyncio.to_thread(gateway.process.wait, 20) == 0
    load.show(proof, f"gateway restarted under streams of {seconds:g} s", f"{restarts} × SIGHUP, then SIGTERM")


async def replace_engine(load: Load, publisher: Publisher, all_engines: list[EngineProcess], place: int) -> None:
    """As the control plane does: out of the tables, SIGTERM, a new one, into the tables."""
    old = all_engines[place]
    publisher.routes(route("smol", *(engine.url for engine in all_engines if engine is not old)))
    await asyncio.sleep(1)
    old.signal(signal.SIGTERM)
    await asyncio.to_thread(old.process.wait)
    await asyncio.to_thread(old.start)
    publisher.routes(route("smol", *(engine.url for engine in all_engines)))
    await asyncio.sleep(0.5)


@pytest.mark.proof("F6", seconds=120)
async def test_engines_are_restarted(proof: Proof, start: Start, publisher: Publisher) -> None:
    restarts, seconds = 0, proof.full(1.0, 5.0)
    with engines(2) as both:
        gateway = await start(route("smol", *(engine.url for engine in both)), fresh=True)
        load = Load(gateway)
        async with load.short_requests():
            for number in proof.rounds(2, 10):
                load.begin_streams(STREAMS, seconds)
                await asyncio.sleep(0.2)
                await replace_engine(load, publisher, both, number % 2)
                restarts += 1
            await load.streams_end()
    load.show(proof, f"engines restarted under streams of {seconds:g} s", f"{restarts} × SIGTERM")
