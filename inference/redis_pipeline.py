"""A lean Redis client for the hot path: everything sent in one tick of the event loop leaves in one write.

Commands are encoded by hand and replies read by hiredis; a reply finds its caller by order alone. There is no time-out
per call: one sweep looks at the oldest unanswered command, and a server that keeps it waiting is treated as lost. On
loss every caller that still waits is told `RedisUnavailable`, at once, and a back-off with jitter tries again for ever.
"""

import asyncio
import random
import ssl
from collections import deque
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, TypeAlias, cast
from urllib.parse import parse_qs, unquote, urlsplit

import hiredis

Argument: TypeAlias = str | bytes | int
OnReply: TypeAlias = Callable[[Any], None]
"""Is given the reply, or an exception: `RedisError` when the server refused, `RedisUnavailable` when none came."""

RETRY_FIRST, RETRY_MOST = 0.02, 1.0
_NOTHING = object()


class RedisError(Exception):
    """The server answered with an error."""


class RedisUnavailable(Exception):
    """There is no answer from Redis; whether the command was carried out is unknown."""


@dataclass(frozen=True)
class Address:
    """Where a Redis answers and how to enter, as its URL says."""

    path: str | None
    host: str
    port: int
    tls: bool
    username: str
    password: str
    database: int

    @classmethod
    def parse(cls, url: str) -> "Address":
        """From ``unix:///path?db=1``, ``redis://user:password@host:port/1`` or ``rediss://``. Raises ValueError."""
        parts = urlsplit(url)
        if parts.scheme not in {"unix", "redis", "rediss"}:
            raise ValueError("a Redis URL begins with unix://, redis:// or rediss://")
        unix = parts.scheme == "unix"
        asked = parse_qs(parts.query).get("db", [""])[0]
        return cls(
            path=unquote(parts.path) if unix else None, host=parts.hostname or "127.0.0.1", port=parts.port or 6379,
            tls=parts.scheme == "rediss",
            username=unquote(parts.username or ""), password=unquote(parts.password or ""),
            database=int(asked or ("" if unix else parts.path.strip("/")) or 0),
        )  # fmt: skip

    def greeting(self) -> list[bytes]:
        """The commands every new connection begins with."""
        commands = []
        if self.password:
            credentials = (self.username, self.password) if self.username else (self.password,)
            commands.append(encode("AUTH", *credentials))
        if self.database:
            commands.append(encode("SELECT", self.database))
        return [*commands, encode("PING")]


def bulk(value: Argument) -> bytes:
    """One argument as a RESP bulk string."""
    raw = value if isinstance(value, bytes) else str(value).encode()
    return b"$%d\r\n%b\r\n" % (len(raw), raw)


def encode(*arguments: Argument) -> bytes:
    """A command as RESP."""
    return b"*%d\r\n" % len(arguments) + b"".join(map(bulk, arguments))


class _Connection(asyncio.Protocol):
    """One connection: what waits to be written, and who waits for an answer, in order."""

    def __init__(self, on_lost: Callable[["_Connection"], None]) -> None:
        self._loop = asyncio.get_running_loop()
        self._on_lost = on_lost
        self._reader = hiredis.Reader(notEnoughData=_NOTHING)
        self._transport: asyncio.Transport | None = None
        self._out: list[bytes] = []
        self._makers: list[Callable[[], None]] = []
        self.waiting: deque[tuple[OnReply, float]] = deque()
        self.lost = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def send(self, payload: bytes, on_reply: OnReply) -> None:
        if not (self._out or self._makers):
            self._loop.call_soon(self._flush)
        self._out.append(payload)
        self.waiting.append((on_reply, self._loop.time()))

    def before_write(self, make: Callable[[], None]) -> None:
        if not (self._out or self._makers):
            self._loop.call_soon(self._flush)
        self._makers.append(make)

    def _flush(self) -> None:
        for make in self._makers:
            make()
        self._makers.clear()
        out, self._out = self._out, []
        if self._transport is not None and not self.lost:
            self._transport.write(b"".join(out))

    def data_received(self, data: bytes) -> None:
        reader, waiting = self._reader, self.waiting
        try:
            reader.feed(data)
            while (reply := reader.gets()) is not _NOTHING:
                on_reply = waiting.popleft()[0]
                on_reply(RedisError(str(reply)) if isinstance(reply, hiredis.ReplyError) else reply)
        except (hiredis.ProtocolError, IndexError):  # not Redis, or an answer nobody asked for: no order to trust
            self.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        self._lose(exc)

    def abort(self) -> None:
        """Give the connection up without waiting for the other side."""
        if self._transport is not None:
            self._transport.abort()
        self._lose(None)

    def _lose(self, exc: Exception | None) -> None:
        if self.lost:
            return
        self.lost = True
        self._on_lost(self)
        while self.waiting:
            self.waiting.popleft()[0](RedisUnavailable(f"the connection to Redis was lost: {exc or 'closed'}"))


class RedisPipeline:
    """The connection of one event loop to one Redis.

    `on_connect` runs on each new connection before `connected` becomes true, `on_lost` as soon as it is gone and before
    any waiting caller hears of it, so that a caller who asks again already meets the new state.
    """

    def __init__(
        self,
        url: str,
        *,
        timeout: float = 0.25,
        on_connect: Callable[[], Awaitable[None]] | None = None,
        on_lost: Callable[[], None] | None = None,
    ) -> None:
        self._address = Address.parse(url)
        self._timeout = timeout
        self._on_connect = on_connect
        self._on_lost = on_lost
        self._connection: _Connection | None = None
        self._tasks: list[asyncio.Task[None]] = []
        self._wake = asyncio.Event()
        self._ready = asyncio.Event()
        self.connected = False

    async def start(self) -> None:
        """Begin to connect, in the background. Returns at once; a Redis that is down is no error."""
        self._tasks = [asyncio.create_task(self._keep_connected()), asyncio.create_task(self._sweep())]

    async def wait_connected(self, seconds: float) -> bool:
        """Whether the connection stands within `seconds`."""
        with suppress(TimeoutError):
            await asyncio.wait_for(self._ready.wait(), seconds)
        return self.connected

    async def close(self) -> None:
        """End the connection; who still waits is told `RedisUnavailable`."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._connection is not None:
            self._connection.abort()

    def send(self, payload: bytes, on_reply: OnReply) -> None:
        """Send an encoded command with this tick's others. `on_reply` is called exactly once, perhaps at once."""
        connection = self._connection
        if connection is None:
            on_reply(RedisUnavailable("not connected to Redis"))
        else:
            connection.send(payload, on_reply)

    def before_write(self, make: Callable[[], None]) -> None:
        """Call `make`, which may `send`, just before this tick's commands are written; at once without a connection."""
        connection = self._connection
        if connection is None:
            make()
        else:
            connection.before_write(make)

    async def call(self, *arguments: Argument) -> Any:
        """Send a command and return its reply. Raises `RedisError` and `RedisUnavailable`."""
        future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()

        def answered(reply: Any) -> None:
            if future.done():
                return
            if isinstance(reply, Exception):
                future.set_exception(reply)
            else:
                future.set_result(reply)

        self.send(encode(*arguments), answered)
        return await future

    async def _keep_connected(self) -> None:
        pause = RETRY_FIRST
        while True:
            self._wake.clear()
            try:
                await self._connect()
                pause = RETRY_FIRST
                await self._wake.wait()
            except (OSError, TimeoutError, RedisError, RedisUnavailable):
                self.drop()
            await asyncio.sleep(pause * random.uniform(0.5, 1))  # noqa: S311 - spreads the gateways, hides nothing
            pause = min(pause * 2, RETRY_MOST)

    async def _connect(self) -> None:
        async with asyncio.timeout(max(1.0, self._timeout)):
            self._connection = await self._open()
            for command in self._address.greeting():
                await self._greet(command)
            if self._on_connect is not None:
                await self._on_connect()
        if self._connection is None:
            raise RedisUnavailable("the connection to Redis was lost while it was made")
        self.connected = True
        self._ready.set()

    async def _greet(self, command: bytes) -> None:
        future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self.send(command, lambda reply: None if future.done() else future.set_result(reply))
        if isinstance(reply := await future, Exception):
            raise reply

    async def _open(self) -> _Connection:
        loop, address = asyncio.get_running_loop(), self._address

        def make() -> _Connection:
            return _Connection(self._lost)

        if address.path is not None:
            return (await loop.create_unix_connection(make, address.path))[1]
        context = ssl.create_default_context() if address.tls else None
        return (await loop.create_connection(make, address.host, address.port, ssl=context))[1]

    def drop(self) -> None:
        """Give this connection up and make a new one."""
        if self._connection is not None:
            self._connection.abort()

    def _lost(self, connection: _Connection) -> None:
        if connection is not self._connection:
            return
        self._connection = None
        self.connected = False
        self._ready.clear()
        self._wake.set()
        if self._on_lost is not None:
            self._on_lost()

    async def _sweep(self) -> None:
        """Drop a connection whose oldest command waits too long.

        Seen twice before it counts: when this process itself was held up, the answer may already lie in the socket.
        """
        overdue: object = None
        while True:
            await asyncio.sleep(self._timeout / 4)
            waiting = self._connection.waiting if self._connection is not None else None
            late = waiting and waiting[0][1] < asyncio.get_running_loop().time() - self._timeout
            oldest = waiting[0] if waiting and late else None
            if oldest is not None and oldest is overdue:
                self.drop()
            overdue = oldest
