"""uvicorn's HTTP protocol, made strict: limits on the request head, on slow senders and on stalled readers.

It also tells the application at once when a client leaves (``scope["on_disconnect"]``). ASGI tells it only to somebody
who waits in ``receive``: a task per request that the hot path can do without. A body that is there when the application
begins stands in ``scope["body"]``.
"""

import asyncio
import logging
import secrets
from collections.abc import Callable
from functools import lru_cache, partial
from typing import Any, cast
from urllib.parse import unquote

import httptools
from uvicorn.config import Config as ServerConfig
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle
from uvicorn.server import ServerState

from inference.config import Config
from inference.errors import BadRequest, HeadTooLarge, SlowBody, openai_body

logger = logging.getLogger(__name__)

HELD_BYTES = 16 * 1024
"""of an answer that its client does not read; beyond, its source has to wait"""
LINGER_SECONDS = 2.0
"""how long the rest of a refused request is thrown away, so that its sender can read why"""
LONGEST_KEPT_URL = 128
"""only targets up to this length are kept once they were taken apart"""


@lru_cache(maxsize=256)
def _split(url: bytes) -> tuple[str, bytes, bytes]:
    """Path, raw path and query of a request's target."""
    parts = httptools.parse_url(url)
    path: str = parts.path.decode("ascii")
    return unquote(path) if "%" in path else path, parts.path, parts.query or b""


def _nothing() -> None:
    pass


class Cycle(RequestResponseCycle):
    """uvicorn's, with a lean `send`: the head waits for the first piece of the body; both leave in one write."""

    _head = b""

    async def send(self, message: Any) -> None:
        if self.flow.write_paused and not self.disconnected:
            await self.flow.drain()
        if self.disconnected or self.transport.is_closing():
            self.disconnected = True  # the loop is about to say so: nothing can be written any more
            return
        if message["type"] == "http.response.start":
            self._hold_head(message["status"], [*self.default_headers, *message["headers"]])
        else:
            self._send_body(message["body"], more=message["more_body"])

    def _hold_head(self, status: int, headers: list[tuple[bytes, bytes]]) -> None:
        named = dict(headers)
        lines = [b"%b: %b\r\n" % header for header in headers]
        if b"connection" in named:
            self.keep_alive = False
        elif not self.keep_alive:
            lines.append(b"connection: close\r\n")
        length = named.get(b"content-length")
        if length is None:
            lines.append(b"transfer-encoding: chunked\r\n")
        # They are well formed when their line ends are as many as they.
        head = b"".join(lines)
        if head.count(b"\n") != len(lines) or head.count(b"\r") != len(lines):
            raise RuntimeError("A header's value holds a line end.")
        self.waiting_for_100_continue = False
        self.response_started, self.chunked_encoding = True, length is None
        self.expected_content_length = int(length or 0)
        self._head = STATUS_LINE[status] + head + b"\r\n"

    def _send_body(self, body: bytes, *, more: bool) -> None:
        if self.response_complete:
            raise RuntimeError("The answer was complete.")
        head, self._head = self._head, b""
        if self.chunked_encoding:
            if body:
                body = b"%x\r\n%b\r\n" % (len(body), body)
            if not more:
                body += b"0\r\n\r\n"
        elif len(body) > self.expected_content_length or not (more or len(body) == self.expected_content_length):
            raise RuntimeError("The body is not as long as its head said.")
        else:
            self.expected_content_length -= len(body)
        if self.scope["method"] == "HEAD":
            body = b""
        if head or body:
            self.transport.write(head + body if head else body)
        if not more:
            self._complete()

    def _complete(self) -> None:
        self.response_complete = True
        self.message_event.set()
        if not self.keep_alive:
            self.transport.close()
        self.on_response()


class StrictProtocol(HttpToolsProtocol):
    """One client connection."""

    limits: Config

    def __init__(
        self, config: ServerConfig, server_state: ServerState, app_state: dict[str, Any], **kwargs: Any
    ) -> None:
        super().__init__(config, server_state, app_state, **kwargs)
        self._in_head = True
        self._head_bytes = 0
        self._piece = 0
        """bytes that came last: no more of a head than that can be missing in `_head_bytes`"""
        self._timer: asyncio.TimerHandle | None = None
        self._stalled: asyncio.TimerHandle | None = None
        self._running: RequestResponseCycle | None = None
        self._idle: asyncio.TimerHandle | None = None
        self._base: dict[str, Any] = {}
        """what the scopes of all its requests have in common"""
        self._idle_since = 0.0
        self._refused = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        transport.set_write_buffer_limits(HELD_BYTES)
        self._base = {
            "type": "http", "asgi": {"version": self.asgi_version, "spec_version": "2.3"}, "scheme": self.scheme,
            "server": self.server, "client": self.client, "root_path": "", "state": {},
        }  # fmt: skip
        self._timer = self.loop.call_later(self.limits.header_seconds, self._head_too_slow)

    def data_received(self, data: bytes) -> None:
        if self._refused:
            return
        self._piece = len(data)
        if self._in_head:
            self._head_bytes += len(data)
        super().data_received(data)
        if self._refused or self.transport.is_closing() or not self._in_head:
            return
        if self._head_bytes > self.limits.header_bytes:
            self._refuse(HeadTooLarge())
        elif self._timer is None and self._head_bytes:
            self._timer = self.loop.call_later(self.limits.header_seconds, self._head_too_slow)

    def on_message_begin(self) -> None:
        self.url, self.expect_100_continue, self.headers = b"", False, []
        self.scope = cast("Any", {**self._base, "headers": self.headers})
        self._head_bytes = max(self._head_bytes, 1)  # also when it came together with the end of another request

    def on_headers_complete(self) -> None:
        if self._refused:
            return
        self._in_head = False
        came, self._head_bytes = self._head_bytes + self._piece, 0
        self._stop_timer()
        if came > self.limits.header_bytes and self._size_of_head() > self.limits.header_bytes:
            self._refuse(HeadTooLarge())
            return
        if self.parser.should_upgrade() or len(self.url) > LONGEST_KEPT_URL:
            super().on_headers_complete()
        else:
            self._begin_cycle()

    def _size_of_head(self) -> int:
        return len(self.url) + sum(len(name) + len(value) + 4 for name, value in self.headers)

    def _begin_cycle(self) -> None:
        """What uvicorn does here, without what we never use: WebSockets, root paths, its access log."""
        scope, before, version = cast("dict[str, Any]", self.scope), self.cycle, self.parser.get_http_version()
        scope["method"] = self.parser.get_method().decode("ascii")
        scope["http_version"] = version
        scope["path"], scope["raw_path"], scope["query_string"] = _split(self.url)
        cycle = self.cycle = Cycle(
            scope=self.scope,
            transport=self.transport,
            flow=self.flow,
            logger=self.logger,
            access_logger=self.access_logger,
            access_log=False,
            default_headers=self.server_state.default_headers,
            message_event=asyncio.Event(),
            expect_100_continue=self.expect_100_continue,
            keep_alive=version != "1.0" and self.parser.should_keep_alive(),
            on_response=self.on_response_complete,
        )
        if before is None or before.response_complete:
            self._start_asgi_task(cycle, self.app)
        else:
            self.flow.pause_reading()
            self.pipeline.appendleft((cycle, self.app))

    def on_message_complete(self) -> None:
        if self._refused:
            return
        self._in_head = True  # what comes next is the head of another request
        self._stop_timer()
        if self.cycle is not None:
            cast("dict[str, Any]", self.scope)["body"] = self.cycle.body
            self.flow.resume_reading()  # a large body had it paused, and then nobody would see the client leave
            super().on_message_complete()

    def on_body(self, body: bytes) -> None:
        if self.cycle is not None:
            super().on_body(body)

    def connection_lost(self, exc: Exception | None) -> None:
        for timer in (self._timer, self._stalled, self._idle):
            if timer is not None:
                timer.cancel()
        super().connection_lost(exc)
        if self._running is not None:
            left: Callable[[], None] | None = cast("dict[str, Any]", self._running.scope).get("on_disconnect")
            if left is not None:
                left()

    def pause_writing(self) -> None:
        super().pause_writing()
        if self._stalled is None:
            self._stalled = self.loop.call_later(self.limits.stall_seconds, self.transport.abort)

    def resume_writing(self) -> None:
        super().resume_writing()
        if self._stalled is not None:
            self._stalled.cancel()
            self._stalled = None

    def send_400_response(self, msg: str) -> None:
        self._refuse(BadRequest(msg))

    def on_response_complete(self) -> None:
        self._rest()
        if not self._in_head and not self.transport.is_closing():
            # Refused before its body was read. Closing now would reset the connection before the client has read why,
            # so the rest is read and thrown away, for a while.
            self._stop_timer()
            self._timer = self.loop.call_later(self.limits.body_seconds, self.transport.close)

    def _rest(self) -> None:
        """uvicorn's `on_response_complete`, with one coarse timer a connection in place of a new one each request."""
        self.server_state.total_requests += 1
        if self.transport.is_closing():
            return
        self.flow.resume_reading()
        if self.pipeline:
            cycle, app = self.pipeline.pop()
            self._start_asgi_task(cycle, app)
            return
        self._idle_since = self.loop.time()
        if self._idle is None:
            self._idle = self.loop.call_later(self.timeout_keep_alive, self._check_idle)

    def _check_idle(self) -> None:
        busy = self._head_bytes or not self._in_head or (self.cycle is not None and not self.cycle.response_complete)
        left = self.timeout_keep_alive - (0 if busy else self.loop.time() - self._idle_since)
        if left <= 0.01:
            self.transport.close()
        else:
            self._idle = self.loop.call_later(left, self._check_idle)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        """The application's own coroutine is the task: uvicorn's around it would be resumed with it each time."""
        self._running = cycle
        task = self.loop.create_task(app(cycle.scope, cycle.receive, cycle.send))
        self.tasks.add(task)
        task.add_done_callback(partial(self._ended, cycle))

    def _ended(self, cycle: RequestResponseCycle, task: "asyncio.Task[None]") -> None:
        self.tasks.discard(task)
        cycle.on_response = _nothing  # else a circle
        if task.cancelled() or task.exception() is not None or not (cycle.response_complete or cycle.disconnected):
            logger.error("A request ended without its answer.", exc_info=None if task.cancelled() else task.exception())
            cycle.transport.close()

    def _head_too_slow(self) -> None:
        self._timer = None
        if self._head_bytes:
            self._refuse(SlowBody("The request head did not arrive in time."))
        else:
            self.transport.close()

    def _refuse(self, error: BadRequest) -> None:
        """Answer what cannot be read as a request, and close: nothing after it could be trusted."""
        if self._refused or self.transport.is_closing():
            return
        self._refused = True
        if self._running is None or self._running.response_complete:
            body = openai_body(error)
            self.transport.write(
                b"%bcontent-type: application/json\r\ncontent-length: %d\r\n" % (STATUS_LINE[error.status], len(body))
                + b"x-request-id: %b\r\nconnection: close\r\n\r\n%b" % (secrets.token_hex(16).encode("ascii"), body)
            )
            self._linger()
        else:
            self.transport.close()

    def _linger(self) -> None:
        """Closing while bytes come in resets the connection, and the client may never read what it was told."""
        self._stop_timer()
        if self.transport.can_write_eof():
            self.transport.write_eof()
        self._timer = self.loop.call_later(LINGER_SECONDS, self.transport.close)
