"""The register as the gateway writes it: rows wait in memory only until the COPY before them has committed.

One COPY is in flight at a time; the next takes all that waits. So one client pays one commit, and a thousand share one.
Rows commit in the order of their numbers, which they get when they leave. A patient row waits up to `PATIENCE` for one
that may replace it. When PostgreSQL is away, rows go to the spool; without one, or
when it is full, everybody who waits is told so: the gateway serves nothing that it cannot record.
"""

import asyncio
import itertools
import logging
import os
import socket
import time
from collections import deque
from collections.abc import Callable, Generator
from concurrent.futures import Future
from typing import Any

import psycopg
from psycopg import AsyncConnection
from psycopg.rows import TupleRow

from inference.contract.bodies import parted
from inference.contract.events import pack_copy
from inference.contract.ids import uuid7
from inference.copying import Copier
from inference.errors import AuditUnavailable
from inference.replay import replay
from inference.spool import Spool

logger = logging.getLogger(__name__)

FIRST_BACKOFF, LAST_BACKOFF = 0.1, 1.0
MOST_WAITING = 10_000
PATIENCE = 0.02
"""seconds"""
MOST_NOTES = 1_000
HOST = socket.gethostname()
REGION = os.environ.get("SIGNALBOX_REGION", "")
# A PostgreSQL behind a dead network must break the connection, not hang it. Unix sockets ignore these.
LIVENESS = {"keepalives_idle": 2, "keepalives_interval": 2, "keepalives_count": 2, "tcp_user_timeout": 5000}

OnFailure = Callable[[AuditUnavailable], None]
Pack = Callable[[], bytes]


class Row:
    """A row on its way. ``await row`` returns once it is durable, or raises `AuditUnavailable`."""

    __slots__ = ("_waiter", "error", "on_failure", "pack", "packed", "patient", "settled", "since")

    def __init__(self, pack: Pack, on_failure: OnFailure | None = None) -> None:
        self.pack: Pack | None = pack
        """called once, when the row is on its way; None from then on"""
        self.packed = b""
        self.since = time.monotonic()
        self.patient = False
        """it waits to be replaced"""
        self.on_failure = on_failure
        """called as soon as it is clear that the row will not be durable in time"""
        self.settled = False
        self.error: AuditUnavailable | None = None
        self._waiter: asyncio.Future[None] | None = None

    def __await__(self) -> Generator[Any, None, None]:
        if not self.settled:
            if self._waiter is None:
                self._waiter = asyncio.get_running_loop().create_future()
            yield from self._waiter
        if self.error is not None:
            raise self.error

    def settle(self, error: AuditUnavailable | None = None) -> None:
        """The first word counts."""
        if self.settled:
            return
        self.settled, self.error = True, error
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)
        if error is not None and self.on_failure is not None:
            self.on_failure(error)
        self.on_failure = None


class Register:
    """Appends rows durably. One per process; `run` must be running."""

    def __init__(
        self,
        database_url: str,
        *,
        longest_commit: float,
        spool: Spool | None = None,
        on_commit: Callable[[float], None] = lambda _: None,
    ) -> None:
        self._url = database_url
        self._longest = longest_commit
        self._spool = spool
        self._on_commit = on_commit
        self._rows: list[Row] = []
        self._patient: deque[Row] = deque()
        """oldest first; those that were replaced meanwhile are in `_rows` as well"""
        self._flying: list[Row] = []
        self._doubtful: list[bytes] = []
        """without a spool: what may have been committed or not when the connection was lost"""
        self._copier: Copier | None = None
        self._away = False
        """PostgreSQL was tried and cannot be written"""
        self._spooling_since = ""
        """what was last told about it"""
        self._spooling: asyncio.Future[None] | None = None
        self._scheduled = False
        self._keeps = False
        """bodies went this way before, so some may be among the rows"""
        self._lost = asyncio.Event()
        self._empty = asyncio.Event()
        self._closing = False
        self._numbers = itertools.count(1)
        self.writer = f"{HOST}/{os.getpid()}/{uuid7().hex[:12]}"
        self._trouble = "not connected to PostgreSQL yet"

    @property
    def trouble(self) -> str:
        """Why nothing can be recorded now; empty when it can, be it in the spool."""
        if self._away and not self._trouble and self._spool is not None and not self._spool.takes_more:
            return "PostgreSQL is away and the spool is full"
        return self._trouble

    def next_number(self) -> int:
        """The number of this writer's next row; a gap shows a loss."""
        return next(self._numbers)

    def require(self) -> None:
        """Raises `AuditUnavailable` when a row appended now would not become durable."""
        if self._trouble or (self._away and self.trouble):
            raise AuditUnavailable

    def append(self, pack: Pack, on_failure: OnFailure | None = None, *, patient: bool = False) -> Row:
        """Queue the row that `pack` gives. One that failed is still written later, if it never was on its way."""
        row = Row(pack, on_failure)
        if patient and not self._closing:
            row.patient = True
            if not self._patient:
                asyncio.get_running_loop().call_later(PATIENCE, self._end_patience)
            self._patient.append(row)
        else:
            self._queue(row)
        return row

    def replace(self, row: Row, pack: Pack) -> bool:
        """Let `pack` give the row if it has not left yet, and say whether it does."""
        if row.pack is None or row.settled:
            return False
        row.pack = pack
        if row.patient:
            row.patient = False
            self._queue(row)
        return True

    def note(self, pack: Pack) -> None:
        """Queue a row that nobody waits for. Dropped when too many wait: a flood must not eat the memory."""
        if len(self._rows) < MOST_NOTES:
            self._rows.append(Row(pack))
            self._schedule()

    def keep(self, body: bytes) -> None:
        """Take a packed body along with the row that is appended next: both are committed, or neither is."""
        self._keeps = True
        self._rows.append(Row(lambda: body))

    def _queue(self, row: Row) -> None:
        row.since = time.monotonic()
        self._rows.append(row)
        if self._trouble:
            row.settle(AuditUnavailable())
            del self._rows[MOST_WAITING:]
        elif not self._scheduled and not self._flying:
            self._schedule()

    def _end_patience(self) -> None:
        """One timer for all: whoever has waited long enough goes."""
        patient, now = self._patient, time.monotonic()
        while patient and (not patient[0].patient or self._closing or now - patient[0].since >= PATIENCE):
            row = patient.popleft()
            if row.patient:
                row.patient = False
                self._queue(row)
        if patient:
            asyncio.get_running_loop().call_later(PATIENCE - (now - patient[0].since), self._end_patience)

    # writing: everything of one tick, and all that came while the last flush was on its way, goes together

    def _schedule(self) -> None:
        if not self._scheduled:
            self._scheduled = True
            asyncio.get_running_loop().call_soon(self._flush)

    def _flush(self) -> None:
        self._scheduled = False
        if self._flying or not self._rows:
            if self._closing and not self._flying:
                self._empty.set()
            return
        if self._copier is not None:
            self._copy(self._copier, self._take())
        elif self._away and self._spool is not None and not self._spooling:
            self._write_spool(self._spool)

    def _copy(self, copier: Copier, rows: list[bytes]) -> None:
        if self._keeps:
            events, bodies = parted(rows)
            copier.copy(pack_copy(events), self._copied, pack_copy(bodies) if bodies else b"")
        else:
            copier.copy(pack_copy(rows), self._copied)

    def _take(self) -> list[bytes]:
        self._flying, self._rows = self._rows, []
        for row in self._flying:
            if row.pack is not None:
                row.packed, row.pack = row.pack(), None
        return [row.packed for row in self._flying]

    def _copied(self, error: Exception | None) -> None:
        if error is not None:
            self._lose(f"PostgreSQL: {str(error).strip() or type(error).__name__}")
            return
        self._report("")
        self._on_commit(time.monotonic() - self._flying[0].since)
        self._land()

    def _land(self, error: AuditUnavailable | None = None) -> None:
        """What was on its way has arrived, or never will."""
        landed, self._flying = self._flying, []
        for row in landed:
            row.settle(error)
        if self._rows or self._closing:
            self._flush()

    def _write_spool(self, spool: Spool) -> None:
        self._spooling = asyncio.get_running_loop().run_in_executor(None, spool.append, self._take())
        self._spooling.add_done_callback(self._spooled)

    def _spooled(self, done: "asyncio.Future[None] | Future[None]") -> None:
        self._spooling = None
        error = done.exception()
        if error is None:
            self._trouble = ""
        else:
            logger.error("register: %s", error)
        self._land(None if error is None else AuditUnavailable())

    # the connection

    async def run(self) -> None:
        """Connect, bring back what was spooled, write, and connect again after every failure, until `close`."""
        watchdog = asyncio.create_task(self._watch())
        backoff = FIRST_BACKOFF
        while not self._closing:
            try:
                async with await self._connect() as connection:
                    await self._bring_back(connection)
                    backoff = FIRST_BACKOFF
                    await self._live(Copier(connection, self._copied))
            except (psycopg.Error, OSError) as exc:
                self._lose(f"PostgreSQL: {str(exc).strip() or type(exc).__name__}")
            if not self._closing:
                await asyncio.sleep(backoff)
                backoff = min(backoff * 2, LAST_BACKOFF)
        if self._away and self._spool is not None:
            self._schedule()
            await self._empty.wait()
        watchdog.cancel()
        if self._spool is not None:
            self._spool.close()

    def close(self) -> None:
        """Ask `run` to end once all that waits is written. Never cancel it: psycopg would block on a dead server."""
        self._closing = True
        self._end_patience()
        self._lost.set()

    async def _connect(self) -> AsyncConnection[TupleRow]:
        return await AsyncConnection.connect(self._url, autocommit=True, connect_timeout=3, **LIVENESS)  # type: ignore[arg-type]

    async def _bring_back(self, connection: AsyncConnection[TupleRow]) -> None:
        """Commit what waits from before, in this process's memory and in the spool, until nothing is left.

        Rows that arrive meanwhile are spooled, so this repeats; it writes faster than they can be synced.
        """
        await replay(connection, self._doubtful)
        self._doubtful = []
        if self._spool is not None and not self._away:
            self._away, self._trouble = True, ""
        while self._spool is not None:
            segments = await asyncio.to_thread(self._spool.take)
            for segment in segments:
                count = await replay(connection, segment.rows())
                await asyncio.to_thread(self._spool.done, segment)
                logger.info("register: %d rows brought back from the spool", count)
            if not segments and not self._spooling and not self._spool.size:
                return

    async def _live(self, copier: Copier) -> None:
        """Write through the connection until it is lost, or until all is written after `close`."""
        self._lost.clear()
        if self._closing:
            self._lost.set()
        self._copier, self._away = copier, False
        if self._spooling_since:
            self._spooling_since = ""
            logger.info("register: PostgreSQL is back")
        self._report("")
        self._schedule()
        await self._lost.wait()
        if self._closing and self._copier is not None:
            self._schedule()
            await self._empty.wait()
        copier.abort(psycopg.OperationalError("closed"))

    async def _watch(self) -> None:
        """A frozen PostgreSQL breaks no connection: does the oldest row, or the first connection, take too long?"""
        began = time.monotonic()
        while True:
            await asyncio.sleep(self._longest / 5)
            never_there = self._copier is None and not self._away
            if never_there and self._spool is not None and time.monotonic() - began > self._longest:
                self._lose(f"PostgreSQL: no connection for {self._longest:g} s")
            oldest = next(iter(self._flying or self._rows), None)
            if oldest is None or oldest.settled or time.monotonic() - oldest.since <= self._longest:
                continue
            why = f"nothing was committed for {self._longest:g} s"
            if self._copier is not None:
                self._copier.abort(psycopg.OperationalError(why))
            else:
                self._refuse(why)

    def _lose(self, why: str) -> None:
        """PostgreSQL is away. What was on its way may be committed or not: `replay` finds out."""
        self._copier, self._away = None, True
        self._lost.set()
        if self._spool is None:
            self._doubtful += [row.packed for row in self._flying]
            self._refuse(why)
            self._flying = []
            return
        if not self._spooling:
            self._rows[:0] = self._flying
            self._flying = []
        self._go_on_in_spool(why)

    def _go_on_in_spool(self, why: str) -> None:
        if why != self._spooling_since:
            logger.error("register: %s; records go to the spool", why)
        self._spooling_since, self._trouble = why, ""
        self._schedule()

    def _refuse(self, why: str) -> None:
        """Nothing can be recorded now: tell everybody who waits. Rows that were not on their way stay queued."""
        self._report(why)
        for row in (*self._flying, *self._rows):
            row.settle(AuditUnavailable())
        del self._rows[MOST_WAITING:]
        if self._closing:
            self._empty.set()

    def _report(self, trouble: str) -> None:
        if trouble != self._trouble:
            self._trouble = trouble
            logger.log(logging.ERROR if trouble else logging.INFO, "register: %s", trouble or "connected")
