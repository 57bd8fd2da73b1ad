"""To an engine and back: another replica is asked only as long as the client has seen no byte."""

import time
from typing import NamedTuple

from inference import metrics
from inference.accounting import Record
from inference.endpoints.call import Call
from inference.endpoints.endpoint import Endpoint
from inference.endpoints.refusals import in_shape
from inference.errors import GatewayError, NoReadyReplica, UpstreamBusy, UpstreamError
from inference.request import JSON, Header, Request
from inference.routing import Choice, pick
from inference.snapshot import Route
from inference.sse import EventStream
from inference.upstream import Connection, Exchange, Upstream

LARGEST_WHOLE = 1024 * 1024
"""plain answers up to this size are taken whole before the client sees a byte; longer ones flow"""
MOST_ATTEMPTS = 3
_turns: dict[str, int] = {}


class Reply:
    """An engine's answer whose head has come. Leaving the context gives the connection back."""

    __slots__ = ("_exchange", "_upstream", "choice", "connection")

    def __init__(self, upstream: Upstream, exchange: Exchange, choice: Choice, connection: Connection) -> None:
        self._upstream = upstream
        self._exchange = exchange
        self.choice = choice
        self.connection = connection

    def __enter__(self) -> "Reply":
        return self

    def __exit__(self, *_: object) -> None:
        self.give_back()

    def give_back(self) -> None:
        self._upstream.release(self.choice.replica, self.connection, self._exchange)

    @property
    def streamed(self) -> bool:
        return self.content_type[1].startswith(b"text/event-stream")

    @property
    def content_type(self) -> Header:
        values = (value for name, value in self.connection.headers if name == b"content-type")
        return b"content-type", next(values, b"application/json")

    @property
    def headers(self) -> list[Header]:
        """What the client is told of an answer."""
        return [self.content_type, self.choice.target.header, self.choice.replica.header]


class Passage(NamedTuple):
    """A request that was let in, with all that belongs to it."""

    endpoint: Endpoint
    route: Route
    call: Call
    request: Request
    record: Record


async def forward(upstream: Upstream, passage: Passage) -> Reply:
    """The answer of the first replica that gives one. Raises `NoReadyReplica` or the last `UpstreamError`."""
    route, request, record = passage.route, passage.request, passage.record
    turn = _turns[route.name] = _turns.get(route.name, -1) + 1
    tried: set[str] = set()
    failed: UpstreamError | None = None
    while len(tried) < MOST_ATTEMPTS:
        choice = pick(route, turn=turn, in_flight=upstream.in_flight, tried=tried)
        if choice is None:
            break
        record.choice, record.attempts, request.target = choice, record.attempts + 1, choice.target
        metrics.TALLY.count(metrics.ROUTED, (choice.target.deployment, choice.reason.value))
        try:
            return await _attempt(upstream, passage, choice)
        except UpstreamError as exc:
            metrics.UPSTREAM_FAILURES.labels(choice.target.deployment, choice.replica.name, exc.code).inc()
            if not exc.retriable:
                raise
            tried.add(choice.replica.name)
            failed = exc
    raise failed or NoReadyReplica(
        f"No replica of {route.name!r} is ready. Its deployments may be starting or scaled to zero: see the console."
    )


async def _attempt(upstream: Upstream, passage: Passage, choice: Choice) -> Reply:
    request = passage.request
    message = _message(passage, choice)
    request.asked_at = request.asked_at or time.perf_counter()
    connection = await upstream.send(choice.replica, message, request.exchange)
    reply = Reply(upstream, request.exchange, choice, connection)
    try:
        _check_accepted(connection.status)
        # An engine that dies before this has cost the client nothing: another one can still answer.
        await connection.fill(1 if reply.streamed else LARGEST_WHOLE)
    except BaseException:
        reply.give_back()
        raise
    request.replied_at = time.perf_counter()
    return reply


def _message(passage: Passage, choice: Choice) -> bytes:
    """The whole request for the engine."""
    body = passage.call.body_for(choice.target.served_name)
    return b"%b%b%bx-request-id: %b\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%b" % (
        passage.endpoint.request_line,
        choice.replica.head,
        passage.request.forwarded,
        passage.request.id.encode("ascii"),
        len(body),
        body,
    )


def _check_accepted(status: int) -> None:
    """Raises for an answer that is not for the client: overload, breakdown, or a key that the engine does not take."""
    if status == 503:
        raise UpstreamBusy(retriable=True)
    if status >= 500:
        raise UpstreamError(f"The engine failed with status {status}.", retriable=status in {502, 504})
    if status in {401, 403}:
        raise UpstreamError("The engine does not accept the gateway's key.", retriable=True, code="upstream_refused")


async def relay(passage: Passage, reply: Reply) -> None:
    """Pass the answer on; the record's intent is durable before the first byte and its outcome before the last."""
    if reply.streamed:
        await _relay_stream(passage, reply)
    else:
        await _relay_plain(passage, reply)


async def _relay_plain(passage: Passage, reply: Reply) -> None:
    """A body that was taken whole leaves at once; a longer one flows, its last piece held back for the record."""
    request, record, connection = passage.request, passage.record, reply.connection
    piece = await connection.read()
    while not connection.ended:
        if not request.status:
            await record.durable()
            await request.begin(connection.status, reply.headers)
        record.output.update(piece)
        await request.write(piece, more=True)
        piece = await connection.read()
    piece += await connection.read()
    headers = reply.headers
    if connection.status >= 400 and not request.status:
        piece = in_shape(passage.endpoint, connection.status, piece, passage.call.model, request.id)
        headers[0] = JSON
    record.output.update(piece)
    if not request.status:
        record.usage, _ = passage.endpoint.stream.read(piece)
    request.exchange.check()
    await record.close("ok" if connection.status < 400 else "refused_by_engine", connection.status)
    if not request.status:
        await request.answer(connection.status, piece, headers)
    else:
        await request.write(piece, more=False)


async def _relay_stream(passage: Passage, reply: Reply) -> None:
    """Events flow as they come. After a loss the client gets an error event and no sign of a regular end."""
    request, record, connection = passage.request, passage.record, reply.connection
    stream = EventStream(passage.endpoint.stream, strip_usage=not passage.call.wants_usage)
    await record.durable()
    await request.begin(connection.status, [*reply.headers, (b"cache-control", b"no-cache")])
    try:
        while piece := await connection.read():
            if events := stream.feed(piece):
                record.output.update(events)
                record.events += events.count(b"\n\n")
                await request.write(events, more=True)
            record.usage = stream.usage
        end = stream.finish()
        record.output.update(end)
        request.exchange.check()
        await record.close("ok", connection.status)
        await request.write(end, more=False)
    except GatewayError as error:
        if not record.closed:
            record.close_failed(error)
        await request.write(passage.endpoint.stream.error(error, request.id), more=False)
        raise
