"""A connection to an engine: a lean keep-alive HTTP/1.1 client on httptools.

Ours, because forwarding is what the gateway is for: it stops reading while nobody takes what was read, and closes the
connection at once when its request is given up. Errors of sockets and of HTTP end here; above there is `UpstreamError`.
"""

import asyncio
from typing import cast

import httptools

from inference.ejection import Fault
from inference.errors import GatewayError, UpstreamError, UpstreamTimeout
from inference.timeouts import DEFAULTS, Timeouts

HIGH_WATER = 4 * 1024
"""bytes read ahead of the client; beyond, the engine has to wait"""
READ_BYTES = 16 * 1024
"""at once: what one stalled reader can make the gateway hold is about this, here and on its way to the client"""
_READ = memoryview(bytearray(READ_BYTES))
"""of all connections: what was read is taken apart before anybody reads again"""
MOST_HEADERS = 100
MOST_HEADER_BYTES = 64 * 1024


class Connection(asyncio.BufferedProtocol):
    """One connection, one exchange at a time: `send`, `head`, `read` until the end. `abort` ends it at any moment."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._transport: asyncio.Transport | None = None
        self._timer: asyncio.TimerHandle | None = None
        self.used = False
        """it has served an exchange before"""
        self.idle_since = 0.0
        self.heard_at = 0.0
        """when the engine last sent something, or when it was asked"""
        self._timeouts = DEFAULTS
        self._ends_at = 0.0
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
        self.status = 0
        self.headers: list[tuple[bytes, bytes]] = []

    # what the exchange calls

    def send(self, request: bytes, timeouts: Timeouts, ends_at: float) -> None:
        """Write a request and start the clock. `ends_at` is when its whole time is over, by the event loop's clock."""
        if self.used:
            self._begin()
        self._timeouts, self._ends_at = timeouts, ends_at
        self.heard_at = self._loop.time()
        self._wake_by(self.heard_at + timeouts.first_byte)
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
            self.heard_at = self._loop.time()
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

    def fresh(self, idle_seconds: float) -> bool:
        """It has rested so shortly that the engine has most likely not closed it."""
        return self._open and self._loop.time() - self.idle_since < idle_seconds

    def last_sign(self, now: float) -> float:
        """When the engine last sent something; 0 if it has not. One that may not send gives no sign and owes none."""
        if not self.answered:
            return 0.0
        return now if self._paused else self.heard_at

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

    def _wake_by(self, deadline: float) -> None:
        """Have the timer fire no later; earlier does no harm."""
        deadline = min(deadline, self._ends_at)
        if self._timer is None:
            self._timer = self._loop.call_at(deadline, self._check_time)
        elif self._timer.when() > deadline:
            self._timer.cancel()
            self._timer = self._loop.call_at(deadline, self._check_time)

    def _check_time(self) -> None:
        """One coarse timer per connection: pieces only say when they came."""
        self._timer = None
        if self._complete or self._transport is None or self._transport.is_closing():
            return
        now = self._loop.time()
        if now >= self._ends_at:
            self.abort(out_of_time())
            return
        if self._paused:  # while the client is slow, silence is our own doing: the client's own time-out rules then
            self.heard_at = now
        deadline = self.heard_at + (self._timeouts.chunk if self.answered else self._timeouts.first_byte)
        if now < deadline:
            self._wake_by(deadline)
        elif self.answered:
            self.abort(UpstreamTimeout())
        else:
            self.abort(UpstreamTimeout(retriable=True, fault=Fault.SILENT))

    # what the event loop calls

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def get_buffer(self, sizehint: int) -> memoryview:
        del sizehint
        return _READ

    def buffer_updated(self, nbytes: int) -> None:
        if self._complete:
            self.close()  # bytes that nobody asked for: the next answer on this connection could not be trusted
            return
        self.heard_at = self._loop.time()
        if not self.answered:
            self.answered = True
            self._wake_by(self.heard_at + self._timeouts.chunk)
        if not self._head_complete:
            self._head_bytes += nbytes
        try:
            self._parser.feed_data(_READ[:nbytes])
        except (httptools.HttpParserError, httptools.HttpParserUpgrade):
            self.abort(_garbage("The engine's answer is not HTTP."))
            return
        if not self._head_complete and self._head_bytes > MOST_HEADER_BYTES:
            self.abort(_garbage("The engine's answer has too large a head."))
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
        self._fail(UpstreamError(retriable=True, fault=Fault.RESET))
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


def out_of_time() -> UpstreamTimeout:
    """The whole time of a request is over, which says nothing about the replica: others had their part in it."""
    return UpstreamTimeout("The request took longer than its route allows.", code="total_timeout")


def _garbage(message: str) -> UpstreamError:
    return UpstreamError(message, code="upstream_garbage", fault=Fault.GARBAGE)
