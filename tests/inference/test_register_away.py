"""PostgreSQL goes away under load: requests go on, and every acknowledged one stands in the register exactly once."""

import asyncio
import contextlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import psutil
import psycopg
import pytest

from config import embedded
from tests.inference.conftest import Gateway, Start, eventually, route
from tests.inference.engine import Engine

MANAGE = Path(__file__).parents[2] / "manage.py"


@dataclass
class Store:
    """A PostgreSQL that may be harmed."""

    server: embedded.Server
    log: Path
    process: subprocess.Popen[bytes] = field(init=False)

    def start(self) -> None:
        """As a supervisor does: again, while the shared memory of a killed one is not free yet."""
        for _ in range(50):
            self.process = self.server.start(self.log)
            time.sleep(0.2)
            if self.process.poll() is None:
                break
        self.server.wait(20)

    def signal(self, number: signal.Signals) -> None:
        """To the postmaster and all its children, as if the machine had been hit."""
        parent = psutil.Process(self.process.pid)
        family = [parent, *parent.children(recursive=True)]
        for process in family:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.send_signal(number)
        if number == signal.SIGKILL:
            self.process.wait(10)
            psutil.wait_procs(family, 10)

    def count(self) -> Counter[str]:
        """Outcomes by request id."""
        with psycopg.connect(self.server.environment["DATABASE_OWNER_URL"]) as connection:
            found = connection.execute("SELECT request_id FROM audit_event WHERE kind = 'outcome'").fetchall()
        return Counter(row[0] for row in found)


@pytest.fixture(scope="module")
def one_store() -> Iterator[Store]:
    # Not in pytest's directory: each run of pytest takes away the right of PostgreSQL's own user to pass it.
    home = Path(tempfile.mkdtemp(prefix="sbx-store-"))
    store = Store(embedded.postgres(home), home / "log")
    store.start()
    environment = {**os.environ, **store.server.environment}
    subprocess.run([sys.executable, MANAGE, "migrate", "-v0", "audit"], check=True, env=environment)
    yield store
    store.process.send_signal(signal.SIGINT)
    store.process.wait(30)
    shutil.rmtree(home, ignore_errors=True)


@pytest.fixture
def store(one_store: Store) -> Iterator[Store]:
    yield one_store
    if one_store.process.poll() is not None:
        one_store.start()
    with psycopg.connect(one_store.server.environment["DATABASE_OWNER_URL"]) as connection:
        connection.execute("TRUNCATE audit_event")


@pytest.fixture
def spooling(store: Store, tmp_path: Path) -> dict[str, str]:
    """The environment of a gateway with a spool of its own."""
    return {
        "DATABASE_URL": store.server.url,
        "SIGNALBOX_GATEWAY_SPOOL": "on",
        "SIGNALBOX_GATEWAY_SPOOL_DIR": str(tmp_path / "spool"),
    }


@dataclass
class Load:
    """Clients that ask one after another and write down which requests were acknowledged."""

    gateway: Gateway
    acknowledged: list[str] = field(default_factory=list)
    refused: Counter[int] = field(default_factory=Counter)
    longest: float = 0.0
    running: bool = True

    async def client(self, number: int) -> None:
        while self.running:
            begun = time.monotonic()
            try:
                response = await self.gateway.chat(stream=bool(number % 2))
            except httpx.TransportError:
                continue  # not acknowledged
            self.longest = max(self.longest, time.monotonic() - begun)
            if response.status_code == 200 and (not number % 2 or "[DONE]" in response.text):
                self.acknowledged.append(response.headers["x-request-id"])
            else:
                self.refused[response.status_code] += 1

    @contextlib.asynccontextmanager
    async def running_clients(self, count: int = 4):  # type: ignore[no-untyped-def]
        clients = [asyncio.create_task(self.client(number)) for number in range(count)]
        yield self
        self.running = False
        await asyncio.gather(*clients)

    async def until_more(self, count: int = 10) -> None:
        """Wait until so many more were acknowledged."""
        enough = len(self.acknowledged) + count
        await eventually(lambda: len(self.acknowledged) >= enough, 20)


def emptied(environment: dict[str, str]) -> bool:
    return not list(Path(environment["SIGNALBOX_GATEWAY_SPOOL_DIR"]).glob("*"))


async def refused_at_once(gateway: Gateway) -> None:
    asked_at = time.monotonic()
    response = await gateway.chat()
    assert (response.status_code, response.json()["error"]["code"]) == (503, "audit_unavailable")
    assert time.monotonic() - asked_at < 1


async def agree(store: Store, load: Load) -> None:
    await eventually(lambda: set(load.acknowledged) <= set(store.count()), 20)
    assert {name: times for name, times in store.count().items() if times > 1} == {}


async def test_kill_of_postgresql_loses_and_doubles_nothing(
    start: Start, engine: Engine, store: Store, spooling: dict[str, str]
) -> None:
    gateway = await start(route("smol", engine.url), fresh=True, **spooling)
    async with Load(gateway).running_clients() as load:
        for _ in range(2):
            await load.until_more()
            store.signal(signal.SIGKILL)
            await load.until_more()
            assert not emptied(spooling)
            await asyncio.to_thread(store.start)
            await eventually(lambda: emptied(spooling), 20)
        await load.until_more()
    assert not load.refused
    await agree(store, load)


async def test_frozen_postgresql_delays_but_refuses_nothing(
    start: Start, engine: Engine, store: Store, spooling: dict[str, str]
) -> None:
    gateway = await start(route("smol", engine.url), fresh=True, **spooling)
    async with Load(gateway).running_clients() as load:
        await load.until_more()
        store.signal(signal.SIGSTOP)
        await load.until_more(20)
        store.signal(signal.SIGCONT)
        await eventually(lambda: emptied(spooling), 20)
        await load.until_more()
    assert not load.refused
    assert load.longest < 2.5
    await agree(store, load)


async def test_next_start_brings_back_what_a_killed_gateway_left(
    start: Start, engine: Engine, store: Store, spooling: dict[str, str]
) -> None:
    gateway = await start(route("smol", engine.url), fresh=True, **spooling)
    async with Load(gateway).running_clients() as load:
        await load.until_more()
        store.signal(signal.SIGKILL)
        await load.until_more()
        workers = gateway.workers()
        for pid in (gateway.process.pid, *workers):
            os.kill(pid, signal.SIGKILL)
        load.running = False
    assert not emptied(spooling)
    store.start()
    await start(route("smol", engine.url), fresh=True, **spooling)
    await eventually(lambda: emptied(spooling), 20)
    await agree(store, load)


async def test_full_spool_refuses_at_once_and_recovers(
    start: Start, engine: Engine, store: Store, spooling: dict[str, str]
) -> None:
    gateway = await start(route("smol", engine.url), fresh=True, SIGNALBOX_GATEWAY_SPOOL_BYTES="65536", **spooling)
    async with Load(gateway).running_clients() as load:
        store.signal(signal.SIGKILL)
        await eventually(lambda: load.refused[503], 20)
    await refused_at_once(gateway)
    assert (await gateway.http.get("/readyz")).status_code == 503
    await asyncio.to_thread(store.start)
    await eventually(lambda: emptied(spooling), 20)
    assert (await gateway.chat()).status_code == 200
    await agree(store, load)


async def test_without_a_spool_nothing_is_served(start: Start, engine: Engine, store: Store) -> None:
    gateway = await start(route("smol", engine.url), fresh=True, DATABASE_URL=store.server.url)
    async with Load(gateway).running_clients() as load:
        await load.until_more()
        store.signal(signal.SIGKILL)
        await eventually(lambda: sum(load.refused.values()) > 20)
        served = len(load.acknowledged)
        await asyncio.sleep(0.3)
        assert len(load.acknowledged) == served
    await refused_at_once(gateway)
    await asyncio.to_thread(store.start)
    await eventually(lambda: _serves(gateway))
    await agree(store, load)


async def _serves(gateway: Gateway) -> bool:
    return bool((await gateway.chat()).status_code == 200)
