"""The connection to an engine: a lean keep-alive HTTP/1.1 client on httptools, one pool per replica.

Ours, because forwarding is what the gateway is for: it stops reading while nobody takes what was read, and closes the
connection at once when its request is given up. Errors of sockets and of HTTP end here; above there is `UpstreamError`.
"""

import asyncio
import ssl
from collections import deque
from collections.abc import Awaitable, Collection
from typing import cast

import httptools
import msgspec

from inference.errors import GatewayError, UpstreamError, UpstreamTimeout
from inference.snapshot import Address, Replica

HIGH_WATER = 64 * 1024
"""bytes read ahead of the client; beyond, the engine has to wait"""
MOST_HEADERS = 100
MOST_HEADER_BYTES = 64 * 1024
MOST_IDLE = 256
"""kept connections per replica"""


class Timeouts(msgspec.Struct, frozen=True):
    """Seconds for each stage of an exchange."""

    connect: float
    first_byte: float
    chunk: float
    idle: float


class Connection(asyncio.Protocol):
    """One connection, one exchange at a time: `send`, `head`, `read` until the end. `abort` ends it at any moment."""

    def __init__(self, loop: asyncio.AbstractEventLoop, timeouts: Timeouts) -> None:
        self._loop = loop
        self._timeouts = timeouts
        self._transport: asyncio.Transport | None = None
        self._timer: asyncio.TimerHandle | None = None
        self.used = False
        """it has served an exchange before"""
        self.idle_since = 0.0
        self._begin()

    def _begin(self) -> None:
        self._parser = httptools.HttpResponseParser(self)
        self._waiter: asyncio.Future[None] | None = None
        self._error: GatewayError | None = None
        self._pieces: list[bytes] = []
        self._buffered = 0
        self._high_water = HIGH_WATER
        self._paused = False
        self.answered = False
        """some of the answer has come"""
        self._head_bytes = 0
        self._head_complete = False
        self._complete = False
        self._keep_alive = False
        self._deadline = 0.0
        self.status = 0
        self.headers: list[tuple[bytes, bytes]] = []

    # what the exchange calls

    def send(self, request: bytes) -> None:
        """Write a request and start the clock."""
        if self.used:
            self._begin()
        self._deadline = self._loop.time() + self._timeouts.first_byte
        self._be_there_by_deadline()
        cast("asyncio.Transport", self._transport).write(request)

    async def head(self) -> None:
        """Wait until `status` and `headers` are there. Raises `UpstreamError`, retriable when the connection broke."""
        while not self._head_complete:
            await self._wait()

    async def fill(self, enough: int) -> None:
        """Wait until so many bytes of the body have come, or all of it. Raises `UpstreamError` like `head`."""
        self._high_water = max(HIGH_WATER, enough)
        if self._buffered < enough:
            self._read_on()
        while self._buffered < enough and not self._complete:
            await self._wait()

    async def read(self) -> bytes:
        """All of the body that has come since, waiting for at least one byte; empty only at the end.

        Raises `UpstreamError` when the engine breaks off.
        """
        while not self._pieces:
            if self._complete:
                return b""
            await self._wait()
        piece = self._pieces[0] if len(self._pieces) == 1 else b"".join(self._pieces)
        self._pieces.clear()
        self._buffered = 0
        self._high_water = HIGH_WATER
        self._read_on()
        return piece

    def _read_on(self) -> None:
        if self._paused:
            self._paused = False
            self._deadline = self._loop.time() + self._timeouts.chunk
            cast("asyncio.Transport", self._transport).resume_reading()

    @property
    def ended(self) -> bool:
        """All of the answer has come; `read` may still have some of it."""
        return self._complete

    def abort(self, error: GatewayError) -> None:
        """End the exchange: whoever waits gets `error`, and the engine sees the connection close now."""
        self._fail(error)
        self.close()

    def close(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._transport is not None:
            self._transport.abort()

    @property
    def reusable(self) -> bool:
        """The answer ended as it should, and the engine keeps the connection open."""
        return self._complete and self._keep_alive and not self._pieces and self._error is None and self._open

    @property
    def alive(self) -> bool:
        """It has rested so shortly that the engine has most likely not closed it."""
        return self._open and self._loop.time() - self.idle_since < self._timeouts.idle

    def rest(self) -> None:
        """Its exchange is over; it waits for the next one."""
        self.used = True
        self.idle_since = self._loop.time()

    @property
    def _open(self) -> bool:
        return self._transport is not None and not self._transport.is_closing()

    async def _wait(self) -> None:
        if self._error is not None:
            raise self._error
        self._waiter = self._loop.create_future()
        try:
            await self._waiter
        finally:
            self._waiter = None

    def _notify(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def _fail(self, error: GatewayError) -> None:
        if self._error is None and not self._complete:
            self._error = error
            if self._waiter is not None and not self._waiter.done():
                self._waiter.set_exception(error)

    def _be_there_by_deadline(self) -> None:
        """Have the timer fire no later than the deadline; earlier does no harm."""
        if self._timer is None:
            self._timer = self._loop.call_at(self._deadline, self._check_deadline)
        elif self._timer.when() > self._deadline:
            self._timer.cancel()
            self._timer = self._loop.call_at(self._deadline, self._check_deadline)

    def _check_deadline(self) -> None:
        """One coarse timer per connection: chunks only move the deadline."""
        self._timer = None
        if self._complete or self._transport is None or self._transport.is_closing():
            return
        # While the client is slow, silence is our own doing: the client's own time-out rules then.
        now = self._loop.time()
        if self._paused:
            self._deadline = now + self._timeouts.chunk
        if now < self._deadline:
            self._timer = self._loop.call_at(self._deadline, self._check_deadline)
        else:
            self.abort(UpstreamTimeout(retriable=False))

    # what the event loop calls

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        if self._complete:
            self.close()  # bytes that nobody asked for: the next answer on this connection could not be trusted
            return
        self._deadline = self._loop.time() + self._timeouts.chunk
        if not self.answered:
            self.answered = True
            self._be_there_by_deadline()
        if not self._head_complete:
            self._head_bytes += len(data)
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade):
            self.abort(UpstreamError("The engine's answer is not HTTP.", code="upstream_garbage"))
            return
        if not self._head_complete and self._head_bytes > MOST_HEADER_BYTES:
            self.abort(UpstreamError("The engine's answer has too large a head.", code="upstream_garbage"))
        elif self._buffered > self._high_water and not self._paused and not self._complete:
            self._paused = True
            cast("asyncio.Transport", self._transport).pause_reading()
        if self._head_complete:
            self._notify()

    def connection_lost(self, exc: Exception | None) -> None:
        del exc
        if self._head_complete and not self._complete and self._ends_with_connection():
            self._complete = True
            self._notify()
        self._fail(UpstreamError(retriable=True))
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _ends_with_connection(self) -> bool:
        """An answer with neither a length nor chunks ends where the connection ends."""
        names = {name for name, _ in self.headers}
        return b"content-length" not in names and b"transfer-encoding" not in names

    # what the parser calls

    def on_header(self, name: bytes, value: bytes) -> None:
        if len(self.headers) < MOST_HEADERS and not self._head_complete:
            self.headers.append((name.lower(), value))

    def on_headers_complete(self) -> None:
        if self._complete:
            self._keep_alive = False  # a second answer to one request
            return
        status = self._parser.get_status_code()
        if status < 200:
            self.headers.clear()  # 100 Continue and its like announce an answer, they are none
            return
        self.status = status
        self._head_complete = True

    def on_body(self, body: bytes) -> None:
        if not self._complete:
            self._pieces.append(body)
            self._buffered += len(body)

    def on_message_complete(self) -> None:
        if not self._complete and self._head_complete:
            self._complete = True
            self._keep_alive = self._parser.should_keep_alive()


class Exchange:
    """One request's way to an engine: how to give it up, at any moment, from outside its task."""

    __slots__ = ("_connecting", "_connection", "_error")

    def __init__(self) -> None:
        self._connection: Connection | None = None
        self._connecting: asyncio.Task[object] | None = None
        self._error: GatewayError | None = None

    def abort(self, error: GatewayError) -> None:
        """Give the request up; the first reason counts."""
        if self._error is not None:
            return
        self._error = error
        if self._connection is not None:
            self._connection.abort(error)
        elif self._connecting is not None:
            self._connecting.cancel()

    def check(self) -> None:
        """Raises what the exchange was given up with."""
        if self._error is not None:
            raise self._error

    async def connect(self, opening: Awaitable[tuple[object, Connection]], seconds: float) -> Connection:
        """A fresh connection. Raises a retriable `UpstreamError`, or what the exchange was given up with."""
        self._connecting = asyncio.current_task()
        try:
            async with asyncio.timeout(seconds):
                return (await opening)[1]
        except TimeoutError as exc:
            raise UpstreamTimeout("The engine cannot be reached.", retriable=True, code="connect_timeout") from exc
        except OSError as exc:
            raise UpstreamError("The engine cannot be reached.", retriable=True, code="connect_failed") from exc
        except asyncio.CancelledError:
            if self._error is not None and self._connecting is not None:
                self._connecting.uncancel()  # it was us who cancelled, to get here
                raise self._error from None
            raise
        finally:
            self._connecting = None

    def use(self, connection: Connection | None) -> None:
        """From now on `abort` ends this connection."""
        self._connection = connection


class Upstream:
    """The pools of all replicas. `in_flight` counts this process's exchanges by replica name."""

    def __init__(self, timeouts: Timeouts) -> None:
        self._timeouts = timeouts
        self._idle: dict[Address, deque[Connection]] = {}
        self._tls = ssl.create_default_context()
        self.in_flight: dict[str, int] = {}

    async def send(self, replica: Replica, request: bytes, exchange: Exchange) -> Connection:
        """Send a request and wait for the answer's head; give the connection back with `release`, whatever comes.

        Raises `UpstreamError`; then there is nothing to give back.
        """
        self.in_flight[replica.name] = self.in_flight.get(replica.name, 0) + 1
        connection = None
        try:
            while True:
                connection = self._kept(replica.address)
                kept = connection is not None
                if connection is None:
                    connection = await self._connect(replica, exchange)
                exchange.use(connection)
                exchange.check()
                try:
                    connection.send(request)
                    await connection.head()
                    return connection
                except UpstreamError as exc:
                    # The engine closed a kept connection just when we wrote: a fresh one tells more.
                    if not kept or connection.answered or not exc.retriable:
                        raise
                    connection.close()
        except BaseException:
            self.release(replica, connection, exchange)
            raise

    def release(self, replica: Replica, connection: Connection | None, exchange: Exchange) -> None:
        """Keep the connection for the next exchange if it ended well, else close it."""
        exchange.use(None)
        self._count_down(replica.name)
        if connection is None:
            return
        idle = self._idle.setdefault(replica.address, deque())
        if connection.reusable and len(idle) < MOST_IDLE:
            connection.rest()
            idle.append(connection)
        else:
            connection.close()

    def prune(self, wanted: Collection[Address], now: float) -> None:
        """Close what was idle for too long, and all connections to engines that are no longer `wanted`."""
        for address, idle in list(self._idle.items()):
            while idle and (address not in wanted or now - idle[0].idle_since > self._timeouts.idle):
                idle.popleft().close()
            if not idle:
                del self._idle[address]

    def close(self) -> None:
        """Close all idle connections."""
        self.prune((), 0)

    async def _connect(self, replica: Replica, exchange: Exchange) -> Connection:
        loop = asyncio.get_running_loop()
        opening = loop.create_connection(
            lambda: Connection(loop, self._timeouts),
            replica.host,
            replica.port,
            ssl=self._tls if replica.tls else None,
        )
        return await exchange.connect(opening, self._timeouts.connect)

    def _kept(self, address: Address) -> Connection | None:
        """The connection that rested the shortest; engines close those that rest for long."""
        idle = self._idle.get(address)
        while idle:
            connection = idle.pop()
            if connection.alive:
                return connection
            connection.close()
        return None

    def _count_down(self, name: str) -> None:
        left = self.in_flight.get(name, 1) - 1
        if left:
            self.in_flight[name] = left
        else:
            self.in_flight.pop(name, None)
