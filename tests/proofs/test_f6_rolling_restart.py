"""F6: gateway and engines are restarted under load, one after the other: no request fails and no stream is cut."""

import asyncio
import signal
from collections import Counter
from dataclasses import dataclass, field

import pytest

from tests.inference.conftest import Gateway, Start, eventually, route
from tests.proofs.client import Answer, Client, NoAnswer
from tests.proofs.engines import engines
from tests.proofs.proof import Proof

WORKERS = 2
STREAMS = 64
CLIENTS = 8


def whole(answer: Answer, chunks: int) -> bool:
    """Every event of a stream has come, and its end."""
    return answer.whole and answer.events[-1] == b"[DONE]" and answer.body.count(b'"content": "') == chunks


@dataclass
class Load:
    """Long streams, and beside them short requests without a pause, some over new connections."""

    gateway: Gateway
    seconds: float
    pause: float = 0.5
    failed: Counter[str] = field(default_factory=Counter)
    short: int = 0
    streams: int = 0
    running: bool = True

    async def stream(self) -> None:
        chunks = int(self.seconds / self.pause)
        client = Client(self.gateway.port, self.gateway.key.token)
        try:
            answer = await client.ask({"stream": True, "chunks": chunks, "pause": self.pause}, seconds=3 * self.seconds)
        except (NoAnswer, TimeoutError) as exc:
            self.failed[f"stream: {type(exc).__name__}"] += 1
            return
        if whole(answer, chunks):
            self.streams += 1
        else:
            self.failed[f"stream: {answer.status} {answer.error or 'cut'}"] += 1

    async def ask_on(self, number: int) -> None:
        client = Client(self.gateway.port, self.gateway.key.token)
        while self.running:
            try:
                answer = await client.ask({"stream": bool(number % 2)})
                if answer.status != 200 or not answer.whole or answer.error:
                    self.failed[f"request: {answer.status} {answer.error or 'cut'}"] += 1
            except (NoAnswer, TimeoutError) as exc:
                self.failed[f"request: {type(exc).__name__}"] += 1
            self.short += 1
            if number % 4 == 3:
                client.leave()
            await asyncio.sleep(0.005)
        client.leave()

    async def __aenter__(self) -> "Load":
        self._streaming = [asyncio.create_task(self.stream()) for _ in range(STREAMS)]
        self._asking = [asyncio.create_task(self.ask_on(number)) for number in range(CLIENTS)]
        await asyncio.sleep(1)
        return self

    async def __aexit__(self, *_: object) -> None:
        await asyncio.gather(*self._streaming)
        self.running = False
        await asyncio.gather(*self._asking)

    def show(self, proof: Proof, what: str, restarts: int) -> None:
        counted = f"{restarts} restarts, {STREAMS} streams of {self.seconds:g} s, {self.short:,} short requests"
        failed = self.failed.total()
        told = f"{failed} ({', '.join(f'{n} × {name}' for name, n in self.failed.items())})" if failed else "0"
        proof.show(what, counted=counted, bar="0 failed, 0 cut", measured=told, held=not failed)
        assert self.streams + sum(n for name, n in self.failed.items() if name.startswith("stream")) == STREAMS


async def replaced(gateway: Gateway) -> None:
    """SIGHUP, and wait until there are as many new workers; the old ones may have streams to finish."""
    before = set(gateway.workers())
    gateway.process.send_signal(signal.SIGHUP)
    await eventually(lambda: len(set(gateway.workers()) - before) == WORKERS, 60)


@pytest.mark.proof("F6", seconds=120)
async def test_workers_are_replaced(proof: Proof, start: Start) -> None:
    restarts = 0
    with engines(1) as (engine,):
        gateway = await start(route("smol", engine.url), fresh=True, SIGNALBOX_GATEWAY_WORKERS=str(WORKERS))
        await eventually(lambda: len(gateway.workers()) == WORKERS)
        async with Load(gateway, proof.full(8.0, 60.0)) as load:
            for _ in proof.rounds(1, 8):
                await replaced(gateway)
                restarts += 1
                await asyncio.sleep(1)
        load.show(proof, "workers of the gateway replaced (SIGHUP)", restarts)
