"""The register as the gateway writes it: rows wait in memory only until the COPY before them has committed.

One COPY is in flight at a time; the next takes all that waits. So one client pays one commit, and a thousand share one.
Rows commit in the order in which they were appended. When commits take too long, everybody who waits is told so: the
gateway serves nothing that it cannot record.
"""

import asyncio
import itertools
import logging
import os
import socket
import time
from collections.abc import Callable

import psycopg
from psycopg import AsyncConnection

from inference.contract.events import COPY_STATEMENT, pack_copy
from inference.contract.ids import uuid7
from inference.errors import AuditUnavailable

logger = logging.getLogger(__name__)

FIRST_BACKOFF, LAST_BACKOFF = 0.1, 1.0
MOST_WAITING = 10_000
MOST_NOTES = 1_000
HOST = socket.gethostname()
# A PostgreSQL behind a dead network must break the connection, not hang it. Unix sockets ignore these.
LIVENESS = {"keepalives_idle": 2, "keepalives_interval": 2, "keepalives_count": 2, "tcp_user_timeout": 5000}

Durable = asyncio.Future[None]


class _Row:
    """A packed row and who waits for it."""

    __slots__ = ("packed", "since", "waiter")

    def __init__(self, packed: bytes, waiter: Durable | None) -> None:
        self.packed = packed
        self.waiter = waiter
        self.since = time.monotonic()

    def settle(self, error: Exception | None = None) -> None:
        waiter, self.waiter = self.waiter, None
        if waiter is None or waiter.done():
            return
        if error is None:
            waiter.set_result(None)
        else:
            waiter.set_exception(error)
            waiter.exception()  # its owner may have left and will not ask any more


class Register:
    """Appends packed rows durably. One per process; `run` must be running."""

    def __init__(
        self, database_url: str, *, longest_commit: float, on_commit: Callable[[float], None] = lambda _: None
    ) -> None:
        self._url = database_url
        self._longest = longest_commit
        self._on_commit = on_commit
        self._rows: list[_Row] = []
        self._flying: list[_Row] = []
        self._wake = asyncio.Event()
        self._closing = False
        self._numbers = itertools.count(1)
        self.writer = f"{HOST}/{os.getpid()}/{uuid7().hex[:12]}"
        self.trouble = "not connected to PostgreSQL yet"
        """why nothing can be recorded now; empty when it can"""

    def next_number(self) -> int:
        """The number of this writer's next row; a gap shows a loss."""
        return next(self._numbers)

    def require(self) -> None:
        """Raises `AuditUnavailable` when a row appended now would not become durable."""
        if self.trouble:
            raise AuditUnavailable

    def append(self, packed: bytes) -> Durable:
        """Queue a row. The future ends when the row is durable, or fails with `AuditUnavailable`.

        A row whose future failed is still written later, if it never was on its way.
        """
        waiter: Durable = asyncio.get_running_loop().create_future()
        row = _Row(packed, waiter)
        if self.trouble:
            row.settle(AuditUnavailable())
        self._queue(row, MOST_WAITING)
        return waiter

    def note(self, packed: bytes) -> None:
        """Queue a row that nobody waits for. Dropped when too many wait: a flood must not eat the memory."""
        self._queue(_Row(packed, None), MOST_NOTES)

    def _queue(self, row: _Row, most: int) -> None:
        if len(self._rows) < most or row.waiter is not None:
            self._rows.append(row)
            self._wake.set()

    async def run(self) -> None:
        """Connect, write, and connect again after every failure, until `close`."""
        watchdog = asyncio.create_task(self._watch())
        backoff = FIRST_BACKOFF
        while not self._closing:
            try:
                async with await self._connect() as connection:
                    backoff = FIRST_BACKOFF
                    await self._write(connection)
            except (psycopg.Error, OSError) as exc:
                self._give_up(f"PostgreSQL: {str(exc).strip() or type(exc).__name__}")
                self._flying = []  # they may have been committed or not; writing them again could double them
                await asyncio.sleep(backoff)
                backoff = min(backoff * 2, LAST_BACKOFF)
        watchdog.cancel()

    def close(self) -> None:
        """Ask `run` to end once all that waits is written. Never cancel it: psycopg would block on a dead server."""
        self._closing = True
        self._wake.set()

    async def _connect(self) -> AsyncConnection:
        connection = await AsyncConnection.connect(self._url, autocommit=True, connect_timeout=3, **LIVENESS)  # type: ignore[arg-type]
        self._report("")
        return connection

    async def _write(self, connection: AsyncConnection) -> None:
        while True:
            self._wake.clear()
            while self._rows:
                await self._copy(connection)
            if self._closing:
                return
            await self._wake.wait()

    async def _copy(self, connection: AsyncConnection) -> None:
        self._flying, self._rows = self._rows, []
        async with connection.cursor() as cursor, cursor.copy(COPY_STATEMENT) as copy:
            await copy.write(pack_copy([row.packed for row in self._flying]))
        self._report("")
        self._on_commit(time.monotonic() - self._flying[0].since)
        for row in self._flying:
            row.settle()
        self._flying = []

    async def _watch(self) -> None:
        """A frozen PostgreSQL breaks no connection: see whether the oldest row waits too long."""
        while True:
            await asyncio.sleep(self._longest / 5)
            oldest = next(iter(self._flying or self._rows), None)
            if oldest is not None and time.monotonic() - oldest.since > self._longest:
                self._give_up(f"PostgreSQL has committed nothing for {self._longest:g} s")

    def _give_up(self, why: str) -> None:
        """Nothing can be recorded now: tell everybody who waits. Rows that were not on their way stay queued."""
        self._report(why)
        for row in (*self._flying, *self._rows):
            row.settle(AuditUnavailable())
        del self._rows[MOST_WAITING:]

    def _report(self, trouble: str) -> None:
        if trouble != self.trouble:
            self.trouble = trouble
            logger.log(logging.ERROR if trouble else logging.INFO, "register: %s", trouble or "connected")
