"""F4: clients that read nothing and clients that send a byte a second cost little memory and delay nobody."""

import asyncio
import resource
import socket
import time
from collections.abc import Iterator
from contextlib import AsyncExitStack

import psutil
import pytest

from bench.limiter import quantile
from tests.inference.conftest import Gateway, Start, route
from tests.inference.engine import STREAM_HEAD, Asked, Engine, answer, chunk, delta
from tests.proofs.client import Client
from tests.proofs.proof import Proof
from tests.waiting import eventually

MOST_GROWTH = 128 * 2**20
MOST_SLOWDOWN = 2.0
HEALTHY = 8
PIECE = chunk(delta("x" * 1_000)) * 30
MOST_POURED = 8 * 2**20
"""bytes of one stream: more than the kernel's buffers and the gateway's together hold back"""


class Poured:
    """Bytes that the engine got rid of."""

    total = 0

    async def settled(self) -> None:
        """All buffers are full: nothing has moved for a second."""
        seen = -1
        while seen != self.total:
            seen = self.total
            await asyncio.sleep(1)


POURED = Poured()


@pytest.fixture
def many_files() -> Iterator[None]:
    """Both ends of thousands of connections lie in this process; the gateway's limit is inherited."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (before[1], before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, before)


async def pour(engine: Engine, asked: Asked, writer: asyncio.StreamWriter) -> None:
    """As fast as it is taken, and then silence."""
    if not asked.json.get("stream"):
        await answer(engine, asked, writer)
        return
    writer.write(STREAM_HEAD)
    for _ in range(MOST_POURED // len(PIECE)):
        writer.write(PIECE)
        await writer.drain()
        POURED.total += len(PIECE)
        await asyncio.sleep(0)
    await asyncio.sleep(3600)


async def stalled_reader(gateway: Gateway, ends: AsyncExitStack) -> None:
    """Asks for a stream and never reads."""
    await _begin(gateway, ends, b'{"model":"smol","messages":[],"stream":true}', reads=False)


async def slow_sender(gateway: Gateway, ends: AsyncExitStack) -> None:
    """Sends a byte of its body a second."""
    writer = await _begin(gateway, ends, b'{"model":"smol","messages":[', reads=True, length=1_000)

    async def drip() -> None:
        while True:
            await asyncio.sleep(1)
            writer.write(b" ")

    ends.callback(asyncio.create_task(drip()).cancel)


async def _begin(
    gateway: Gateway, ends: AsyncExitStack, body: bytes, *, reads: bool, length: int = 0
) -> asyncio.StreamWriter:
    sock = socket.create_connection(("127.0.0.1", gateway.port))
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    reader, writer = await asyncio.open_connection(sock=sock, limit=1024)
    if not reads:
        writer.transport.pause_reading()  # type: ignore[attr-defined]
    ends.callback(_hang_up, reader, writer)
    head = f"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {gateway.key.token}\r\n"
    writer.write(f"{head}content-length: {length or len(body)}\r\n\r\n".encode() + body)
    return writer


def _hang_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Whoever drops the reader, drops the connection: so it is held until here."""
    del reader
    writer.transport.abort()


async def waits(gateway: Gateway, seconds: float) -> list[float]:
    """What healthy clients wait for their answers, in seconds."""
    until, found = time.monotonic() + seconds, list[float]()

    async def ask() -> None:
        client = Client(gateway.port, gateway.key.token)
        while time.monotonic() < until:
            got = await client.ask({})
            assert got.status == 200
            found.append(got.ended - got.asked)
            await asyncio.sleep(0.02)
        client.leave()

    await asyncio.gather(*(ask() for _ in range(HEALTHY)))
    return sorted(found)


def memory(gateway: Gateway) -> int:
    """Of the worker, in bytes, what it shares with nobody."""
    return sum(psutil.Process(pid).memory_full_info().uss for pid in gateway.workers())


@pytest.mark.proof("F4", seconds=240)
async def test_slow_clients_cost_little(proof: Proof, start: Start, many_files: None) -> None:
    count, seconds = proof.full(50, 1_000), proof.full(2.0, 15.0)
    async with Engine(pour) as engine, AsyncExitStack() as ends:
        gateway = await start(
            route("smol", engine.url), fresh=True, SIGNALBOX_GATEWAY_STALL_SECONDS="3600",
            SIGNALBOX_GATEWAY_BODY_SECONDS="3600",
        )  # fmt: skip
        await waits(gateway, 1)
        before, alone = memory(gateway), await waits(gateway, seconds)
        for _ in range(count):
            await stalled_reader(gateway, ends)
            await slow_sender(gateway, ends)
        await eventually(lambda: sum("stream" in asked.json for asked in engine.asked) >= count, 60)
        await asyncio.wait_for(POURED.settled(), 120)
        beside, grown = await waits(gateway, seconds), memory(gateway) - before
        proof.show(
            f"memory for {count:,} stalled readers and {count:,} slow senders", counted=2 * count, bar="≤ 128 MiB",
            measured=f"{grown / 2**20:.0f} MiB", held=grown <= MOST_GROWTH,
        )  # fmt: skip
        times = quantile(beside, 0.99) / quantile(alone, 0.99)
        proof.show(
            f"p99 of {HEALTHY} healthy clients beside them", counted=len(beside), bar="≤ 2 × that without them",
            measured=f"{times:.2f} × {quantile(alone, 0.99):.1f} ms", held=times <= MOST_SLOWDOWN, timed=True,
        )  # fmt: skip
