"""The budgets' ledger as a gateway reaches it: two functions in PostgreSQL, one call at a time.

On the bare libpq connection, as the register's COPY: a server that hangs is given up at once, without waiting for it.
"""

import asyncio
import logging
import time
from typing import Any

import msgspec
import psycopg
from psycopg import AsyncConnection
from psycopg.pq import ExecStatus
from psycopg.rows import TupleRow

from inference.contract import budgets as contract
from inference.contract.budgets import Spent, Told, Wanted
from inference.register import LIVENESS

logger = logging.getLogger(__name__)

LONGEST_CALL = 1.0
FIRST_BACKOFF, LAST_BACKOFF = 0.1, 1.0
CONNECT_SECONDS = 2


class LedgerUnavailable(Exception):
    """There is no answer from the ledger; whether it has carried out what it was asked for is unknown."""


class _Asker:
    """Asks on one connection, one question at a time."""

    def __init__(self, connection: AsyncConnection[TupleRow]) -> None:
        self._connection = connection  # whose end closes the socket
        self._pg = connection.pgconn
        self._loop = asyncio.get_running_loop()
        self._answer: asyncio.Future[bytes] | None = None
        self._got: bytes = b""
        self._error: Exception | None = None
        self.lost = False
        self._pg.nonblocking = 1
        self._descriptor = self._pg.socket
        self._loop.add_reader(self._descriptor, self._readable)

    def ask(self, statement: str, parameters: list[bytes]) -> "asyncio.Future[bytes]":
        """The one value that the statement answers."""
        answer = self._answer = self._loop.create_future()
        self._got, self._error = b"", None
        try:
            self._pg.send_query_params(statement.encode(), parameters)
            self._flush()
        except psycopg.Error as exc:
            self.abort(exc)
        return answer

    def abort(self, why: Exception) -> None:
        """Give the connection up."""
        if self.lost:
            return
        self.lost = True
        self._loop.remove_reader(self._descriptor)
        self._loop.remove_writer(self._descriptor)
        self._pg.finish()
        self._end(why)

    def _readable(self) -> None:
        try:
            self._pg.consume_input()
            while not self._pg.is_busy():
                result = self._pg.get_result()
                if result is None:
                    self._end(self._error)
                    return
                if result.status == ExecStatus.TUPLES_OK:
                    self._got = result.get_value(0, 0) or b""
                else:
                    self._error = psycopg.OperationalError(result.get_error_message())
        except psycopg.Error as exc:
            self.abort(exc)

    def _flush(self) -> None:
        if self._pg.flush():
            self._loop.add_writer(self._descriptor, self._writable)

    def _writable(self) -> None:
        try:
            if not self._pg.flush():
                self._loop.remove_writer(self._descriptor)
        except psycopg.Error as exc:
            self.abort(exc)

    def _end(self, error: Exception | None) -> None:
        answer, self._answer = self._answer, None
        if answer is None or answer.done():
            return
        if error is not None:
            answer.set_exception(error)
        else:
            answer.set_result(self._got)


class LedgerClient:
    """Connects when it is first asked something, and again after a failure, with a growing pause in between."""

    def __init__(self, database_url: str) -> None:
        self._url = database_url
        self._asker: _Asker | None = None
        self._turn = asyncio.Lock()
        self._not_before = 0.0
        self._backoff = FIRST_BACKOFF
        self._trouble = ""
        self.answered = False
        """it has, once; the first time takes a connection"""

    async def lease(self, holder: str, process: str, wanted: list[Wanted]) -> list[Told]:
        """Grant what is wanted as far as it goes. Raises `LedgerUnavailable`."""
        answer = await self._call(contract.LEASE, [holder.encode(), process.encode(), contract.encode(wanted)])
        try:
            return contract.decode_told(answer)
        except msgspec.MsgspecError as exc:
            raise LedgerUnavailable(f"the ledger speaks another language: {exc}") from exc

    async def report(
        self, holder: str, process: str, spent: list[Spent], *, finished: bool = False, gone: bool = False
    ) -> None:
        """Take down what a process has spent in all. Raises `LedgerUnavailable`."""
        flags: list[Any] = [b"t" if flag else b"f" for flag in (finished, gone)]
        await self._call(contract.REPORT, [holder.encode(), process.encode(), contract.encode(spent), *flags])

    async def silence(self, holder: str, process: str) -> float:
        """Seconds since the ledger has last heard of a process. Raises `LedgerUnavailable`."""
        return float(await self._call(contract.SILENCE, [holder.encode(), process.encode()]))

    def close(self) -> None:
        """Let go of the connection; a call under way fails."""
        if self._asker is not None:
            self._asker.abort(psycopg.OperationalError("closed"))

    async def _call(self, statement: str, parameters: list[bytes]) -> bytes:
        async with self._turn:
            try:
                asker = await self._connected()
                got = await self._answer(asker, asker.ask(statement, parameters))
            except (psycopg.Error, OSError) as exc:
                self._fail(exc)
                raise LedgerUnavailable(self._trouble) from exc
            self._report("")
            self.answered = True
            return got

    async def _answer(self, asker: _Asker, answer: "asyncio.Future[bytes]") -> bytes:
        try:
            done, _ = await asyncio.wait({answer}, timeout=LONGEST_CALL)
        except asyncio.CancelledError:  # whose answer would be taken for the next one's
            answer.cancel()
            asker.abort(psycopg.OperationalError("given up"))
            raise
        if not done:
            asker.abort(psycopg.OperationalError(f"no answer within {LONGEST_CALL:g} s"))
        return answer.result()

    async def _connected(self) -> _Asker:
        if self._asker is None or self._asker.lost:
            if time.monotonic() < self._not_before:
                raise psycopg.OperationalError(self._trouble or "not connected")
            self._not_before = time.monotonic() + self._backoff
            self._backoff = min(2 * self._backoff, LAST_BACKOFF)
            connection = await AsyncConnection.connect(
                self._url, autocommit=True, connect_timeout=CONNECT_SECONDS, **LIVENESS  # type: ignore[arg-type]
            )  # fmt: skip
            self._asker = _Asker(connection)
        return self._asker

    def _fail(self, exc: Exception) -> None:
        self._report(str(exc).strip() or type(exc).__name__)

    def _report(self, trouble: str) -> None:
        if not trouble:
            self._backoff = FIRST_BACKOFF
        if trouble != self._trouble:
            self._trouble = trouble
            logger.log(logging.ERROR if trouble else logging.INFO, "budgets: %s", trouble or "the ledger answers")
