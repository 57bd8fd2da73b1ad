"""One client's request as the gateway sees it: its head read once, its body on demand, one way to answer."""

import asyncio
import re
import time
from collections.abc import Awaitable, Callable, MutableMapping
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from ipaddress import ip_address
from typing import Any

from inference.contract import keys
from inference.contract.ids import random_bytes
from inference.errors import BadRequest, BodyTooLarge, ClientClosed, GatewayError, SlowBody
from inference.snapshot import Route, Target
from inference.sse import Usage
from inference.upstream import Exchange

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Header = tuple[bytes, bytes]

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
JSON: Header = (b"content-type", b"application/json")
_REQUEST_ID = re.compile(rb"[A-Za-z0-9._:/+=-]{1,128}")
_PRODUCT = re.compile(rb"[A-Za-z0-9._+-]{1,40}(?:/[A-Za-z0-9._+-]{1,24})?")
_HOST = re.compile(rb"(?:[A-Za-z0-9._~-]+|\[[0-9A-Fa-f:.]+\])(?::([0-9]{1,5}))?")
_ONCE = frozenset({b"authorization", b"host"})
"""two of them are two answers to the question who is meant, and somebody in front may have read the other one"""
_WANTED = frozenset(
    {
        b"authorization",
        b"x-api-key",
        b"api-key",
        b"content-length",
        b"content-encoding",
        b"host",
        b"x-request-id",
        b"user-agent",
    }
)
FORWARDED = frozenset({b"accept", b"traceparent", b"tracestate"})
"""client headers that go to the engine; all others stay here, credentials and hop-by-hop headers among them"""


@lru_cache(maxsize=1024)
def _is_host(value: bytes) -> bool:
    match = _HOST.fullmatch(value)
    return match is not None and int(match[1] or 0) < 65_536


@lru_cache(maxsize=4096)
def _address(text: str) -> str | None:
    """The address if it is one; behind a proxy it is what a header claims."""
    try:
        return str(ip_address(text))
    except ValueError:
        return None


@lru_cache(maxsize=4096)
def _product(user_agent: bytes) -> str:
    """The first product of a user agent, nothing else of it."""
    match = _PRODUCT.match(user_agent)
    return match[0].decode("ascii") if match else ""


def unix_microseconds() -> int:
    """Now, for the register and the logs."""
    return time.time_ns() // 1000


class Request:
    """A request and its answer. `exchange` is given up as soon as the client leaves."""

    __slots__ = (
        "_headers",
        "_receive",
        "_repeated",
        "_send",
        "asked_at",
        "auth_method",
        "begun_at",
        "bytes_out",
        "client",
        "exchange",
        "extra_headers",
        "first_byte_at",
        "forwarded",
        "id",
        "method",
        "path",
        "project",
        "replied_at",
        "route",
        "scope",
        "source_ip",
        "started",
        "started_us",
        "status",
        "target",
        "token",
        "usage",
    )

    def __init__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.started = time.perf_counter()
        self.started_us = unix_microseconds()
        self.scope = scope
        self.method: str = scope["method"]
        raw_path: bytes = scope["raw_path"]
        # An escape is left as it is: a path that is not written as in the table is another path.
        self.path: str = raw_path.decode("latin-1") if b"%" in raw_path else scope["path"]
        self._receive = receive
        self._send = send
        self.exchange = Exchange()
        scope["on_disconnect"] = self.client_left
        self._read_headers(scope["headers"])
        peer = scope.get("client")
        self.source_ip = _address(peer[0]) if peer else None
        self.extra_headers: list[Header] = []
        self.status = 0
        """of the answer; 0 until it has begun"""
        self.bytes_out = 0
        # What metrics and the access log want to know, filled in on the way.
        self.route: Route | None = None
        self.target: Target | None = None
        self.project = ""
        self.usage: Usage | None = None
        self.asked_at = self.replied_at = self.begun_at = self.first_byte_at = 0.0

    def _read_headers(self, headers: list[Header]) -> None:
        wanted: dict[bytes, bytes] = {}
        self._repeated = b""
        forwarded = b""
        for name, value in headers:
            if name in _WANTED:
                if name in wanted and name in _ONCE:
                    self._repeated = name
                wanted.setdefault(name, value)
            elif name in FORWARDED:
                forwarded += name + b": " + value + b"\r\n"
        self._headers = wanted
        self.forwarded = forwarded
        self.id = self._request_id()
        self.client = _product(wanted.get(b"user-agent", b""))
        """the client library as it names itself"""
        self.auth_method, self.token = self._credential()

    def _request_id(self) -> str:
        given = self._headers.get(b"x-request-id")
        if given is not None and _REQUEST_ID.fullmatch(given) and not keys.stands_in(given.decode("ascii")):
            return given.decode("ascii")
        return random_bytes(16).hex()

    def _credential(self) -> tuple[str, str]:
        authorization = self._headers.get(b"authorization")
        if authorization is not None:
            scheme, _, token = authorization.partition(b" ")
            return ("bearer", token.strip().decode("latin-1")) if scheme.lower() == b"bearer" else ("", "")
        for name in (b"x-api-key", b"api-key"):
            if token := self._headers.get(name, b"").strip():
                return name.decode(), token.decode("latin-1")
        return "", ""

    def check_head(self) -> None:
        """HTTP/1.1 asks for one Host. Raises `BadRequest`; nothing is ever decided by its value."""
        if self._repeated:
            raise BadRequest(f"The header {self._repeated.decode()} stands twice in the request.")
        host = self._headers.get(b"host")
        if host is None:
            if self.scope.get("http_version") == "1.1":
                raise BadRequest("The request has no Host header.")
        elif not _is_host(host):
            raise BadRequest("The Host header is malformed.")

    @property
    def started_at(self) -> datetime:
        return _EPOCH + timedelta(microseconds=self.started_us)

    def client_left(self) -> None:
        """Called by the server's protocol when the connection is gone."""
        self.exchange.abort(ClientClosed())

    async def body(self, most: int, seconds: float) -> bytes:
        """The whole body. Raises `BodyTooLarge`, `SlowBody`, `BadRequest` or `ClientClosed`."""
        if self._headers.get(b"content-encoding", b"identity").lower() != b"identity":
            raise BadRequest("Compressed request bodies are not accepted. Send the body as it is.")
        length = self._headers.get(b"content-length", b"0")
        if len(length) > 15 or int(length) > most:
            raise BodyTooLarge(f"The request body is larger than {most} bytes.")
        whole: bytearray | None = self.scope.get("body")
        if whole is not None:  # most bodies are there at once: nothing to wait for
            return self._checked({"type": "http.request", "body": bytes(whole)}, most)
        pieces: list[bytes] = []
        try:
            async with asyncio.timeout(seconds):
                while True:
                    message = await self._receive()
                    pieces.append(self._checked(message, most))
                    most -= len(pieces[-1])
                    if not message.get("more_body"):
                        return pieces[0] if len(pieces) == 1 else b"".join(pieces)
        except TimeoutError:
            raise SlowBody from None

    @staticmethod
    def _checked(message: Message, most: int) -> bytes:
        if message["type"] != "http.request":
            raise ClientClosed
        body: bytes = message.get("body", b"")
        if len(body) > most:
            raise BodyTooLarge
        return body

    async def begin(self, status: int, headers: list[Header]) -> None:
        """Send the answer's head."""
        self.status = status
        self.begun_at = time.perf_counter()
        await self._send(
            {
                "type": "http.response.start",
                "status": status,
                "headers": [*headers, (b"x-request-id", self.id.encode("ascii")), *self.extra_headers],
            }
        )

    async def write(self, body: bytes, *, more: bool) -> None:
        """Send a piece of the answer; waits while the client reads too slowly."""
        if not self.bytes_out:
            self.first_byte_at = time.perf_counter()
        self.bytes_out += len(body)
        await self._send({"type": "http.response.body", "body": body, "more_body": more})

    async def answer(self, status: int, body: bytes, headers: list[Header] | None = None) -> None:
        """Send a whole answer."""
        await self.begin(status, [(b"content-length", b"%d" % len(body)), *(headers or [JSON])])
        await self.write(body, more=False)

    async def fail(self, error: GatewayError, body: bytes) -> None:
        """Answer with an error, in the shape of the endpoint."""
        headers = [JSON, *error.headers]
        if error.retry_after is not None:
            headers.append((b"retry-after", b"%d" % error.retry_after))
        if isinstance(error, SlowBody):
            headers.append((b"connection", b"close"))  # whatever comes of it now is not worth waiting for
        await self.answer(error.status, body, headers)
