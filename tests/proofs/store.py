"""A PostgreSQL that may be killed and frozen, and clients that remember what they were told."""

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
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import psutil
import psycopg

from config import embedded
from tests.inference.conftest import Gateway
from tests.proofs.client import Client, NoAnswer
from tests.register_wiping import FORBID, LET
from tests.waiting import eventually

MANAGE = Path(__file__).parents[2] / "manage.py"


@dataclass
class Store:
    """With the register's tables in it."""

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

    def outcomes(self) -> Counter[str]:
        """How many there are by request id."""
        with psycopg.connect(self.server.environment["DATABASE_OWNER_URL"]) as connection:
            found = connection.execute("SELECT request_id FROM audit_event WHERE kind = 'outcome'").fetchall()
        return Counter(row[0] for row in found)

    def empty(self) -> None:
        """Running and without rows, whatever was done to it."""
        if self.process.poll() is not None:
            self.start()
        self.signal(signal.SIGCONT)
        with psycopg.connect(self.server.environment["DATABASE_OWNER_URL"]) as connection:
            connection.execute(f"{LET} TRUNCATE audit_event, audit_seal, audit_checkpoint, audit_writer; {FORBID}")


@contextmanager
def new_store() -> Iterator[Store]:
    # Not in pytest's directory: each run of pytest takes away the right of PostgreSQL's own user to pass it.
    home = Path(tempfile.mkdtemp(prefix="sbx-store-"))
    store = Store(embedded.postgres(home), home / "log")
    store.start()
    try:
        environment = {**os.environ, **store.server.environment}
        subprocess.run([sys.executable, MANAGE, "migrate", "-v0", "audit"], check=True, env=environment)
        yield store
    finally:
        store.signal(signal.SIGCONT)
        store.process.send_signal(signal.SIGINT)
        store.process.wait(30)
        shutil.rmtree(home, ignore_errors=True)


class Told(NamedTuple):
    """A request and what its client was told."""

    begun: float
    seconds: float
    status: int
    """0: nothing"""
    id: str
    error: str

    @property
    def acknowledged(self) -> bool:
        return self.status == 200


@dataclass
class Load:
    """Clients that ask one request after another, every other one streamed."""

    gateway: Gateway
    told: list[Told] = field(default_factory=list)
    running: bool = True

    async def _ask_on(self, number: int) -> None:
        client, stream = Client(self.gateway.port, self.gateway.key.token), bool(number % 2)
        while self.running:
            begun = time.monotonic()
            try:
                answer = await client.ask({"stream": stream})
            except (NoAnswer, TimeoutError):
                self.told.append(Told(begun, time.monotonic() - begun, 0, "", ""))
                await asyncio.sleep(0.02)
                continue
            whole = answer.whole and not answer.error and (not stream or answer.done)
            status = 0 if answer.status == 200 and not whole else answer.status
            name = answer.headers["x-request-id"]
            self.told.append(Told(begun, answer.ended - begun, status, name, answer.error))
            await asyncio.sleep(0 if whole else 0.01)
        client.leave()

    @asynccontextmanager
    async def clients(self, count: int = 4) -> AsyncIterator["Load"]:
        tasks = [asyncio.create_task(self._ask_on(number)) for number in range(count)]
        try:
            yield self
        finally:
            self.running = False
            await asyncio.gather(*tasks)

    @property
    def acknowledged(self) -> list[str]:
        """The ids of the requests that were answered whole."""
        return [each.id for each in self.told if each.acknowledged]

    @property
    def refused(self) -> list[Told]:
        return [each for each in self.told if not each.acknowledged]

    def begun_after(self, moment: float) -> list[Told]:
        return [each for each in self.told if each.begun > moment]

    async def until_more(self, count: int = 10) -> None:
        """Wait until so many more were acknowledged."""
        enough = len(self.acknowledged) + count
        await eventually(lambda: len(self.acknowledged) >= enough)


@dataclass
class Agreement:
    """Between what clients were told and what the register holds."""

    acknowledged: int
    lost: int
    doubled: int

    @classmethod
    async def of(cls, store: Store, load: Load, seconds: float = 20) -> "Agreement":
        """As soon as they agree, or after so many seconds."""
        acknowledged = set(load.acknowledged)
        with contextlib.suppress(AssertionError):
            await eventually(lambda: acknowledged <= store.outcomes().keys(), seconds)
        found = store.outcomes()
        doubled = sum(times > 1 for times in found.values())
        return cls(len(acknowledged), len(acknowledged - found.keys()), doubled)
