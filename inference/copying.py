"""COPY on the bare libpq connection: two packets a flush, no objects of a client library in between.

psycopg opens the connection; from then on its file descriptor belongs to a `Copier`.
"""

import asyncio
from collections.abc import Callable

import psycopg
from psycopg import AsyncConnection
from psycopg.pq import ExecStatus
from psycopg.rows import TupleRow

from inference.contract import bodies
from inference.contract.events import COPY_STATEMENT

_STATEMENT = COPY_STATEMENT.encode("ascii")
_WITH_BODIES = f"{COPY_STATEMENT}; {bodies.COPY_STATEMENT}".encode("ascii")  # one message is one transaction
OnEnd = Callable[[Exception | None], None]


class Copier:
    """Copies one payload at a time, each in a transaction of its own; `on_end` is called once for each.

    `on_lost` hears of a connection that broke while there was nothing to copy.
    """

    def __init__(self, connection: AsyncConnection[TupleRow], on_lost: Callable[[Exception], None]) -> None:
        self._on_lost = on_lost
        self._pg = connection.pgconn
        self._loop = asyncio.get_running_loop()
        self._payloads: list[bytes] = []
        self._on_end: OnEnd | None = None
        self._error: Exception | None = None
        self._pg.nonblocking = 1
        self._descriptor = self._pg.socket
        self._loop.add_reader(self._descriptor, self._readable)

    def copy(self, payload: bytes, on_end: OnEnd, kept: bytes = b"") -> None:
        """Begin to copy; `kept` is the payload of bodies that belong to the rows, if there are any.

        `on_end` is given None once all is committed, else what went wrong.
        """
        self._payloads, self._on_end, self._error = [kept, payload] if kept else [payload], on_end, None
        try:
            self._pg.send_query(_WITH_BODIES if kept else _STATEMENT)
            self._flush()
        except psycopg.Error as exc:
            self.abort(exc)

    def abort(self, why: Exception) -> None:
        """Give the connection up; whether the payload was committed is unknown then."""
        if self._descriptor < 0:
            return
        self._loop.remove_reader(self._descriptor)
        self._loop.remove_writer(self._descriptor)
        self._descriptor = -1
        self._pg.finish()
        self._end(why)

    def _readable(self) -> None:
        try:
            self._pg.consume_input()
            self._take_results()
        except psycopg.Error as exc:
            self.abort(exc)

    def _take_results(self) -> None:
        while not self._pg.is_busy():
            result = self._pg.get_result()
            if result is None:
                self._end(self._error)
                return
            if result.status == ExecStatus.COPY_IN:
                self._pg.put_copy_data(self._payloads.pop())
                self._pg.put_copy_end()
                self._flush()
            elif result.status != ExecStatus.COMMAND_OK:
                self._error = psycopg.OperationalError(result.get_error_message())

    def _flush(self) -> None:
        """Send what libpq holds; a full socket is waited for in the event loop."""
        if self._pg.flush():
            self._loop.add_writer(self._descriptor, self._writable)

    def _writable(self) -> None:
        try:
            if not self._pg.flush():
                self._loop.remove_writer(self._descriptor)
        except psycopg.Error as exc:
            self.abort(exc)

    def _end(self, error: Exception | None) -> None:
        on_end, self._on_end, self._payloads = self._on_end, None, []
        if on_end is not None:
            on_end(error)
        elif error is not None:
            self._on_lost(error)
