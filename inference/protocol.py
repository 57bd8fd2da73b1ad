"""uvicorn's HTTP protocol, made strict: limits on the request head, on slow senders and on stalled readers.

It also tells the application at once when a client leaves (``scope["on_disconnect"]``). ASGI tells it only to somebody
who waits in ``receive``: a task per request that the hot path can do without.
"""

import asyncio
import secrets
from collections.abc import Callable
from typing import Any, cast

from uvicorn.config import Config as ServerConfig
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle
from uvicorn.server import ServerState

from inference.config import Config
from inference.errors import BadRequest, HeadTooLarge, SlowBody, openai_body


class StrictProtocol(HttpToolsProtocol):
    """One client connection."""

    limits: Config

    def __init__(
        self, config: ServerConfig, server_state: ServerState, app_state: dict[str, Any], **kwargs: Any
    ) -> None:
        super().__init__(config, server_state, app_state, **kwargs)
        self._in_head = True
        self._head_bytes = 0
        self._timer: asyncio.TimerHandle | None = None
        self._stalled: asyncio.TimerHandle | None = None
        self._running: RequestResponseCycle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._timer = self.loop.call_later(self.limits.header_seconds, self._head_too_slow)

    def data_received(self, data: bytes) -> None:
        if self._in_head:
            self._head_bytes += len(data)
        super().data_received(data)
        if self.transport.is_closing() or not self._in_head:
            return
        if self._head_bytes > self.limits.header_bytes:
            self._refuse(HeadTooLarge())
        elif self._timer is None and self._head_bytes:
            self._timer = self.loop.call_later(self.limits.header_seconds, self._head_too_slow)

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._head_bytes = max(self._head_bytes, 1)  # also when it came together with the end of another request

    def on_headers_complete(self) -> None:
        self._in_head = False
        self._head_bytes = 0
        self._stop_timer()
        size = len(self.url) + sum(len(name) + len(value) + 4 for name, value in self.headers)
        if size > self.limits.header_bytes:
            self._refuse(HeadTooLarge())
            return
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        self._in_head = True  # what comes next is the head of another request
        self._stop_timer()
        if self.cycle is not None:
            super().on_message_complete()

    def on_body(self, body: bytes) -> None:
        if self.cycle is not None:
            super().on_body(body)

    def connection_lost(self, exc: Exception | None) -> None:
        for timer in (self._timer, self._stalled):
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
        super().on_response_complete()
        if not self._in_head and not self.transport.is_closing():
            # Refused before its body was read. Closing now would reset the connection before the client has read why,
            # so the rest is read and thrown away, for a while.
            self._stop_timer()
            self._timer = self.loop.call_later(self.limits.body_seconds, self.transport.close)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        self._running = cycle
        super()._start_asgi_task(cycle, app)

    def _head_too_slow(self) -> None:
        self._timer = None
        if self._head_bytes:
            self._refuse(SlowBody("The request head did not arrive in time."))
        else:
            self.transport.close()

    def _refuse(self, error: BadRequest) -> None:
        """Answer what cannot be read as a request, and close: nothing after it could be trusted."""
        if self.transport.is_closing():
            return
        if self._running is None or self._running.response_complete:
            body = openai_body(error)
            self.transport.write(
                b"%bcontent-type: application/json\r\ncontent-length: %d\r\n" % (STATUS_LINE[error.status], len(body))
                + b"x-request-id: %b\r\nconnection: close\r\n\r\n%b" % (secrets.token_hex(16).encode("ascii"), body)
            )
        self.transport.close()
