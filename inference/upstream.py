"""To engines: the pools of kept connections, the exchanges under way on them, and which replicas are in rotation."""

import asyncio
import ssl
from collections import deque
from collections.abc import Awaitable, Collection, Mapping, Set

import msgspec

from inference import trust
from inference.connection import Connection, out_of_time
from inference.ejection import Fault
from inference.errors import GatewayError, UpstreamError, UpstreamTimeout
from inference.rotation import Rotation
from inference.routing import Asked, Reason, pick
from inference.snapshot import Address, Replica, Route
from inference.timeouts import Timeouts

MOST_ATTEMPTS = 3
"""at a request"""
MOST_IDLE = 256
"""kept connections per address"""
UNREACHABLE = "The engine cannot be reached."


class Errand(msgspec.Struct, frozen=True):
    """What a request that waits for its first byte wants, and who has failed to give it."""

    route: Route
    asked: Asked | None
    tried: Set[str]


class Exchange:
    """One request's way to an engine: how to give it up, at any moment, from outside its task."""

    __slots__ = ("_connecting", "_connection", "_error", "errand", "replica")

    def __init__(self) -> None:
        self._connection: Connection | None = None
        self._connecting: asyncio.Task[object] | None = None
        self._error: GatewayError | None = None
        self.replica: Replica | None = None
        """the one that is asked, or was"""
        self.errand: Errand | None = None
        """None once the answer has begun, when nobody else could give it any more"""

    def abort(self, error: GatewayError) -> None:
        """Give the request up; the first reason counts."""
        if self._error is not None:
            return
        self._error = error
        if self._connection is not None:
            self._connection.abort(error)
        elif self._connecting is not None:
            self._connecting.cancel()

    def break_off(self, error: UpstreamError) -> None:
        """End what is under way with this replica; another one may be asked."""
        if self._connection is not None:
            self._connection.abort(error)

    def check(self) -> None:
        """Raises what the exchange was given up with."""
        if self._error is not None:
            raise self._error

    def last_sign(self, now: float) -> float:
        """When the engine last sent something of this answer; 0 if it has not."""
        return 0.0 if self._connection is None else self._connection.last_sign(now)

    async def connect(
        self, opening: Awaitable[tuple[object, Connection]], seconds: float, ends_at: float
    ) -> Connection:
        """A fresh connection. Raises a retriable `UpstreamError`, or what the exchange was given up with."""
        loop = asyncio.get_running_loop()
        self._connecting = asyncio.current_task()
        try:
            async with asyncio.timeout_at(min(loop.time() + seconds, ends_at)):
                return (await opening)[1]
        except TimeoutError as exc:
            if loop.time() >= ends_at:
                raise out_of_time() from exc
            raise UpstreamTimeout(
                UNREACHABLE, retriable=True, code="connect_timeout", fault=Fault.CONNECT_TIMEOUT
            ) from exc
        except ssl.SSLError as exc:
            raise trust.failed_handshake(exc) from exc
        except OSError as exc:
            raise UpstreamError(UNREACHABLE, retriable=True, code="connect_failed", fault=Fault.UNREACHABLE) from exc
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
    """The pools of all replicas, and which of them are in rotation."""

    def __init__(self, idle_seconds: float) -> None:
        self._idle_seconds = idle_seconds
        self._idle: dict[Address, deque[Connection]] = {}
        self._heard: dict[Address, float] = {}
        self.stepped: dict[Address, float] = {}
        """when a replica's metrics last showed that it had moved on"""
        self.exchanges: set[Exchange] = set()
        """under way"""
        self.in_flight: dict[str, int] = {}
        """this process's exchanges by replica name"""
        self.rotation = Rotation()

    async def send(
        self, replica: Replica, request: bytes, exchange: Exchange, timeouts: Timeouts, ends_at: float
    ) -> Connection:
        """Send a request and wait for the answer's head; give the connection back with `release`, whatever comes.

        `ends_at` is when the request's whole time is over. Raises `UpstreamError`; then there is nothing to give back.
        """
        self.in_flight[replica.name] = self.in_flight.get(replica.name, 0) + 1
        exchange.replica = replica
        self.exchanges.add(exchange)
        connection = None
        try:
            while True:
                connection = self._kept(replica.address)
                kept = connection is not None
                if connection is None:
                    opening = self._open(replica)
                    connection = await exchange.connect(opening, timeouts.connect, ends_at)
                exchange.use(connection)
                exchange.check()
                try:
                    connection.send(request, timeouts, ends_at)
                    await connection.head()
                    return connection
                except UpstreamError as exc:
                    # The engine closed a kept connection just when we wrote: a fresh one tells more.
                    if not kept or connection.answered or exc.fault is not Fault.RESET:
                        raise
                    connection.close()
        except BaseException:
            self.release(replica, connection, exchange)
            raise

    def release(self, replica: Replica, connection: Connection | None, exchange: Exchange) -> None:
        """Keep the connection for the next exchange if it ended well, else close it."""
        exchange.use(None)
        self.exchanges.discard(exchange)
        self._count_down(replica.name)
        if connection is None:
            return
        idle = self._idle.setdefault(replica.address, deque())
        if connection.reusable and len(idle) < MOST_IDLE:
            connection.rest()
            idle.append(connection)
        else:
            self._hear(replica.address, connection.last_sign(0.0))
            connection.close()

    def heard(self, now: float) -> Mapping[Address, float]:
        """When each replica last sent a piece of an answer."""
        for address, idle in self._idle.items():
            if idle:
                self._hear(address, idle[-1].heard_at)
        for exchange in self.exchanges:
            if exchange.replica is not None:
                self._hear(exchange.replica.address, exchange.last_sign(now))
        return self._heard

    def _hear(self, address: Address, at: float) -> None:
        if at > self._heard.get(address, 0.0):
            self._heard[address] = at

    def moved_since(self, address: Address, moment: float) -> bool:
        """The replica gave a sign of life after that, as far as somebody has looked since."""
        return self._heard.get(address, 0.0) > moment or self.stepped.get(address, 0.0) > moment

    def could_ask_another(self, errand: Errand, name: str, now: float) -> bool:
        """Whether a request that waits for the replica of that name could as well go to one that is in rotation."""
        if len(errand.tried) + 1 >= MOST_ATTEMPTS:
            return False
        choice = pick(
            errand.route, turn=0, in_flight=self.in_flight, ejected=self.rotation.out(now),
            tried={*errand.tried, name}, asked=errand.asked,
        )  # fmt: skip
        return choice is not None and choice.reason is not Reason.ALL_EJECTED

    def prune(self, wanted: Collection[Address], now: float) -> None:
        """Close what was idle for too long, and all connections to engines that are no longer `wanted`."""
        for address, idle in list(self._idle.items()):
            while idle and (address not in wanted or now - idle[0].idle_since > self._idle_seconds):
                idle.popleft().close()
            if not idle:
                del self._idle[address]

    def follow(self, addresses: Mapping[str, Address]) -> None:
        """All replicas there are now, by name."""
        self.rotation.follow(addresses)
        for known in (self._heard, self.stepped):
            for address in known.keys() - set(addresses.values()):
                del known[address]

    def close(self) -> None:
        """Close all idle connections."""
        self.prune((), 0)

    def _open(self, replica: Replica) -> Awaitable[tuple[object, Connection]]:
        loop = asyncio.get_running_loop()
        tls = None if replica.tls is None else trust.context(replica.tls)
        return loop.create_connection(lambda: Connection(loop), replica.host, replica.port, ssl=tls)

    def _kept(self, address: Address) -> Connection | None:
        """The connection that rested the shortest; engines close those that rest for long."""
        idle = self._idle.get(address)
        while idle:
            connection = idle.pop()
            if connection.fresh(self._idle_seconds):
                return connection
            connection.close()
        return None

    def _count_down(self, name: str) -> None:
        left = self.in_flight.get(name, 1) - 1
        if left:
            self.in_flight[name] = left
        else:
            self.in_flight.pop(name, None)
