"""To an engine and back: another replica is asked only as long as the client has seen no byte."""

import time

from inference import metrics
from inference.accounting import Record
from inference.endpoints.call import Call
from inference.endpoints.endpoint import Endpoint
from inference.errors import GatewayError, NoReadyReplica, UpstreamBusy, UpstreamError
from inference.request import Header, Request
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


async def forward(
    upstream: Upstream, endpoint: Endpoint, route: Route, call: Call, request: Request, record: Record
) -> Reply:
    """The answer of the first replica that gives one. Raises `NoReadyReplica` or the last `UpstreamError`."""
    turn = _turns[route.name] = _turns.get(route.name, -1) + 1
    tried: set[str] = set()
    failed: UpstreamError | None = None
    while len(tried) < MOST_ATTEMPTS:
        choice = pick(route, turn=turn, in_flight=upstream.in_flight, tried=tried)
        if choice is None:
            break
        record.choice, record.attempts = choice, record.attempts + 1
        request.target = choice.target
        metrics.ROUTED.labels(choice.target.deployment, choice.reason.value).inc()
        try:
            return await _attempt(upstream, endpoint, choice, call, request)
        except UpstreamError as exc:
            metrics.UPSTREAM_FAILURES.labels(choice.target.deployment, choice.replica.name, exc.code).inc()
            if not exc.retriable:
                raise
            tried.add(choice.replica.name)
            failed = exc
    raise failed or NoReadyReplica(
        f"No replica of {route.name!r} is ready. Its deployments may be starting or scaled to zero: see the console."
    )


async def _attempt(upstream: Upstream, endpoint: Endpoint, choice: Choice, call: Call, request: Request) -> Reply:
    body = call.body_for(choice.target.served_name)
    head = (
        endpoint.request_line,
        choice.replica.head,
        request.forwarded,
        b"x-request-id: %b\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n"
        % (request.id.encode("ascii"), len(body)),
    )
    request.asked_at = request.asked_at or time.perf_counter()
    connection = await upstream.send(choice.replica, b"".join((*head, body)), request.exchange)
    reply = Reply(upstream, request.exchange, choice, connection)
    try:
        if error := _refused(connection.status):
            raise error
        # An engine that dies before this has cost the client nothing: another one can still answer.
        await connection.fill(1 if reply.streamed else LARGEST_WHOLE)
    except BaseException:
        reply.give_back()
        raise
    request.replied_at = time.perf_counter()
    return reply


def _refused(status: int) -> UpstreamError | None:
    """An engine's answer that is not for the client: overload, breakdown, or a key that the engine does not take."""
    if status == 503:
        return UpstreamBusy(retriable=True, code="upstream_busy")
    if status >= 500:
        return UpstreamError(f"The engine failed with status {status}.", retriable=status in {502, 504})
    if status in {401, 403}:
        return UpstreamError("The engine does not accept the gateway's key.", retriable=True, code="upstream_refused")
    return None


async def relay(endpoint: Endpoint, call: Call, request: Request, reply: Reply, record: Record) -> None:
    """Pass the answer on; the record's intent is durable before the first byte and its outcome before the last."""
    if reply.streamed:
        await _relay_stream(endpoint, call, request, reply, record)
    else:
        await _relay_plain(endpoint, request, reply, record)


async def _relay_plain(endpoint: Endpoint, request: Request, reply: Reply, record: Record) -> None:
    """A body that arrives at once leaves at once; a longer one flows, all but its last piece held back for the record."""
    connection = reply.connection
    piece = await connection.read()
    headers = reply.headers
    while not connection.ended:
        if not request.status:
            await record.durable()
            await request.begin(connection.status, headers)
        record.output.update(piece)
        await request.write(piece, more=True)
        piece = await connection.read()
    piece += await connection.read()
    record.output.update(piece)
    if not request.status:
        record.usage, _ = endpoint.stream.read(piece)
    request.exchange.check()
    await record.close("ok" if connection.status < 400 else "refused_by_engine", connection.status)
    if not request.status:
        await request.answer(connection.status, piece, headers)
    else:
        await request.write(piece, more=False)


async def _relay_stream(endpoint: Endpoint, call: Call, request: Request, reply: Reply, record: Record) -> None:
    """Events flow as they come. After a loss the client gets an error event and no sign of a regular end."""
    await record.durable()
    await request.begin(reply.connection.status, [*reply.headers, (b"cache-control", b"no-cache")])
    stream = EventStream(endpoint.stream, strip_usage=not call.wants_usage)
    try:
        while piece := await reply.connection.read():
            if events := stream.feed(piece):
                record.output.update(events)
                await request.write(events, more=True)
        end = stream.finish()
        record.usage = stream.usage
        record.output.update(end)
        await record.close("ok", reply.connection.status)
        await request.write(end, more=False)
    except GatewayError as error:
        record.usage = stream.usage
        if not record.closed:
            record.close_failed(error)
        await request.write(endpoint.stream.error(error), more=False)
        raise
