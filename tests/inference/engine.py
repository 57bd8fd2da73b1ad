"""A stand-in for an engine: answers as scripted and writes down what it was asked. Faults are its purpose.

It runs on the test's event loop; each connection is served by `script(engine, request, writer)`. Only its metrics it
tells by itself; connections on which it is asked for nothing else are not counted.
"""

import asyncio
import json
import ssl
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

Script = Callable[["Engine", "Asked", asyncio.StreamWriter], Awaitable[None]]


@dataclass
class Asked:
    """A request as the engine saw it."""

    line: str
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> dict[str, Any]:
        return json.loads(self.body)


@dataclass
class Engine:
    """``async with Engine(script)``; `url` is where it answers."""

    script: Script
    port: int = 0
    """0: any that is free"""
    asked: list[Asked] = field(default_factory=list)
    connections: int = 0
    open: int = 0
    gone: asyncio.Event = field(default_factory=asyncio.Event)
    """a connection was closed by the other side"""
    url: str = ""
    metrics: Callable[[], str] | None = None
    """what it tells of itself; without them 404"""
    polled: list[Asked] = field(default_factory=list)
    heard: int = 0
    """answers about itself that surely arrived in time: the next question came on the same connection"""
    tls: ssl.SSLContext | None = None

    async def __aenter__(self) -> "Engine":
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port, ssl=self.tls)
        self.port = self._server.sockets[0].getsockname()[1]
        self.url = f"http{'s' if self.tls else ''}://127.0.0.1:{self.port}"
        return self

    def refuse(self) -> None:
        """Take no new connection."""
        self._server.close()

    async def __aexit__(self, *_: object) -> None:
        self.refuse()
        for _ in range(3):  # who was let in at the last moment is served only now, and must be let go, too
            await asyncio.sleep(0.05 if self.tls else 0)  # handshakes under way come to their end
            for task in list(self._tasks):
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)
        await asyncio.sleep(0)

    def __post_init__(self) -> None:
        self._tasks: set[asyncio.Task[None]] = set()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        serving = asyncio.ensure_future(asyncio.sleep(0))
        counted = told = False
        try:
            while (asked := await read_request(reader)) is not None:
                if asked.line.startswith("GET /metrics "):
                    self.heard += told
                    told = True
                    await self._tell_metrics(asked, writer)
                    continue
                self.connections += not counted
                self.open += not counted
                counted = True
                self.asked.append(asked)
                serving = asyncio.create_task(self.script(self, asked, writer))
                closed = asyncio.create_task(reader.read(1)) if not reader.at_eof() else None
                await asyncio.wait({serving, *([closed] if closed else [])}, return_when=asyncio.FIRST_COMPLETED)
                if not serving.done():
                    serving.cancel()
                    break
                if closed:
                    closed.cancel()
                    await asyncio.gather(closed, return_exceptions=True)
                await serving
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            serving.cancel()  # asyncio's streams complain of a cancelled server task, so this one ends in peace
        finally:
            if counted:
                self.open -= 1
                self.gone.set()
            self._tasks.discard(task)
            if self.tls:
                writer.transport.abort()  # a close in order would wait for the other side
            else:
                writer.close()

    @property
    def polls(self) -> int:
        """How often it was asked for its metrics."""
        return len(self.polled)

    async def _tell_metrics(self, asked: Asked, writer: asyncio.StreamWriter) -> None:
        self.polled.append(asked)
        text = "" if self.metrics is None else self.metrics()
        writer.write(plain(text.encode(), 404 if self.metrics is None else 200))
        await writer.drain()


async def read_request(reader: asyncio.StreamReader) -> Asked | None:
    try:
        head = await reader.readuntil(b"\r\n\r\n")
    except asyncio.IncompleteReadError:
        return None
    line, *rest = head.decode("latin-1").strip().split("\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (item.partition(":") for item in rest)}
    return Asked(line, headers, await reader.readexactly(int(headers.get("content-length", 0))))


# what engines say


def plain(body: bytes, status: int = 200, extra: str = "") -> bytes:
    head = f"HTTP/1.1 {status} X\r\ncontent-type: application/json\r\ncontent-length: {len(body)}\r\n{extra}\r\n"
    return head.encode() + body


STREAM_HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream; charset=utf-8\r\ntransfer-encoding: chunked\r\n\r\n"


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


def event(data: Any) -> bytes:
    return b"data: " + (data if isinstance(data, bytes) else json.dumps(data).encode()) + b"\n\n"


def delta(text: str) -> bytes:
    choices = [{"index": 0, "delta": {"content": text}, "finish_reason": None}]
    return event({"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": choices})


USAGE = {"prompt_tokens": 7, "completion_tokens": 3, "total_tokens": 10}
USAGE_EVENT = event(
    {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": [], "usage": USAGE}
)
DONE = event(b"[DONE]")
COMPLETION = {
    "id": "c",
    "object": "chat.completion",
    "created": 1,
    "model": "m",
    "choices": [{"index": 0, "message": {"role": "assistant", "content": "Paris"}, "finish_reason": "stop"}],
    "usage": USAGE,
}


# scripts


async def answer(engine: Engine, asked: Asked, writer: asyncio.StreamWriter) -> None:
    """A well-behaved engine: plain or streamed, as asked."""
    if asked.json.get("stream"):
        pieces = [delta("Pa"), delta("ris")]
        if (asked.json.get("stream_options") or {}).get("include_usage"):
            pieces.append(USAGE_EVENT)
        writer.write(STREAM_HEAD)
        for piece in (*pieces, DONE):
            writer.write(chunk(piece))
            await writer.drain()
            await asyncio.sleep(0.001)
        writer.write(b"0\r\n\r\n")
    else:
        writer.write(plain(json.dumps(COMPLETION).encode()))
    await writer.drain()


async def silence(engine: Engine, asked: Asked, writer: asyncio.StreamWriter) -> None:
    """Takes the request and says nothing, for ever."""
    await asyncio.sleep(3600)
