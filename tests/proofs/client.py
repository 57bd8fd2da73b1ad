"""A client that watches its answer byte by byte: when it began, how it ended, whether it was whole."""

import asyncio
import json
import time
from dataclasses import dataclass, field
from typing import Any, cast

import httptools

PATH = "/v1/chat/completions"


class NoAnswer(ConnectionError):
    """The connection was refused, or broke before a byte of the answer had come."""


@dataclass
class Answer:
    """What came back; moments are those of `time.monotonic`."""

    asked: float
    status: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    body: bytearray = field(default_factory=bytearray)
    first: float = 0.0
    """when the body began"""
    ended: float = 0.0
    whole: bool = False
    """it ended where HTTP says that it ends"""

    @property
    def events(self) -> list[bytes]:
        """The data of a stream's events."""
        return [event.removeprefix(b"data: ") for event in bytes(self.body).split(b"\n\n") if event]

    @property
    def done(self) -> bool:
        """It claims to be a complete stream."""
        return b"[DONE]" in self.body or b'"finish_reason":"' in self.body.replace(b": ", b":")

    @property
    def error(self) -> str:
        """The code of the error that it ends with; empty without one."""
        last = self.events[-1] if self.events else b""
        try:
            return str(json.loads(last)["error"]["code"])
        except (ValueError, KeyError, TypeError):
            return ""


class Client(asyncio.Protocol):
    """Asks one request after another, over one connection for as long as the gateway keeps it."""

    def __init__(self, port: int, token: str) -> None:
        self._port, self.token = port, token
        self._transport: asyncio.Transport | None = None
        self.connections = 0

    async def ask(self, fields: dict[str, Any], *, path: str = PATH, seconds: float = 60) -> Answer:
        """The answer, however it ended. Raises `NoAnswer`, or TimeoutError after `seconds`."""
        await self._connect()
        body = json.dumps({"model": "smol", "messages": [{"role": "user", "content": "hi"}], **fields}).encode()
        head = f"POST {path} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {self.token}\r\n"
        self._answer = Answer(time.monotonic())
        self._parser = httptools.HttpResponseParser(self)
        self._over: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        transport = cast("asyncio.Transport", self._transport)
        transport.write(f"{head}content-length: {len(body)}\r\n\r\n".encode() + body)
        try:
            async with asyncio.timeout(seconds):
                await self._over
        except BaseException:
            self.leave()
            raise
        if not self._answer.status:
            raise NoAnswer
        return self._answer

    @property
    def local_port(self) -> int:
        """Of the connection; 0 without one."""
        return int(self._transport.get_extra_info("sockname")[1]) if self._transport else 0

    @property
    def seen(self) -> bool:
        """Some of the body has come."""
        return bool(self._answer.first)

    async def _connect(self) -> None:
        if self._transport is None or self._transport.is_closing():
            self.connections += 1
            loop = asyncio.get_running_loop()
            try:
                await loop.create_connection(lambda: self, "127.0.0.1", self._port)
            except OSError as exc:
                raise NoAnswer(str(exc)) from exc

    def leave(self) -> None:
        """Close the connection without a word."""
        if self._transport is not None:
            self._transport.abort()
            self._transport = None

    def _end(self) -> None:
        self._answer.ended = time.monotonic()
        if not self._over.done():
            self._over.set_result(None)

    # what the event loop calls

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        self._parser.feed_data(data)

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        if hasattr(self, "_over") and not self._over.done():
            self._end()

    # what the parser calls

    def on_header(self, name: bytes, value: bytes) -> None:
        self._answer.headers[name.decode().lower()] = value.decode()

    def on_headers_complete(self) -> None:
        self._answer.status = self._parser.get_status_code()

    def on_body(self, body: bytes) -> None:
        self._answer.first = self._answer.first or time.monotonic()
        self._answer.body += body

    def on_message_complete(self) -> None:
        self._answer.whole = True
        if self._answer.headers.get("connection") == "close":
            self.leave()
        self._end()
