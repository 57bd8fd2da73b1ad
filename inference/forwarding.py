"""To an engine and back: another replica is asked only as long as the client has seen no byte."""

import asyncio
import time
from collections.abc import Hashable
from typing import NamedTuple

from inference import metrics
from inference.accounting import Record
from inference.connection import Connection
from inference.ejection import NOBODY, Fault
from inference.endpoints.call import Call
from inference.endpoints.endpoint import Endpoint
from inference.endpoints.refusals import in_shape
from inference.errors import GatewayError, NoReadyReplica, UpstreamBusy, UpstreamError
from inference.request import JSON, Header, Request
from inference.routing import Asked, Choice, lane, pick, read_asked
from inference.snapshot import Route
from inference.sse import EventStream, StreamFormat, Usage
from inference.upstream import MOST_ATTEMPTS, Errand, Exchange, Upstream

LARGEST_WHOLE = 1024 * 1024
"""plain answers up to this size are taken whole before the client sees a byte; longer ones flow"""
TAIL = 64 * 1024
"""bytes at the end of a longer one in which its usage is looked for"""
MOST_LOOKS = 8
"""at what may be its beginning"""
_turns: dict[Hashable, int] = {}


class Reply:
    """An engine's answer whose head has come. Leaving the context gives the connection back."""

    __slots__ = ("_exchange", "_upstream", "choice", "connection", "content_type")

    def __init__(self, upstream: Upstream, exchange: Exchange, choice: Choice, connection: Connection) -> None:
        self._upstream = upstream
        self._exchange = exchange
        self.choice = choice
        self.connection = connection
        self.content_type: Header = JSON
        for header in connection.headers:
            if header[0] == b"content-type":
                self.content_type = header
                break

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
    route, request, record, rotation = passage.route, passage.request, passage.record, upstream.rotation
    asked = read_asked(
        route, endpoint=passage.endpoint.name, prompt_tokens=passage.call.estimated_tokens,
        headers=request.scope["headers"],
    )  # fmt: skip
    sequence = lane(route, asked)
    turn = _turns[sequence] = _turns.get(sequence, -1) + 1
    tried: set[str] = set()
    failed: UpstreamError | None = None
    now = asyncio.get_running_loop().time()
    ends_at = now + route.timeouts.total
    request.exchange.errand = Errand(route, asked, tried)
    while len(tried) < MOST_ATTEMPTS:
        choice = pick(
            route, turn=turn, in_flight=upstream.in_flight, kv_use=rotation.kv_use,
            ejected=rotation.out(now) if rotation.troubled else NOBODY, tried=tried, asked=asked,
        )  # fmt: skip
        if choice is None:
            break
        record.choice, record.attempts, request.target = choice, record.attempts + 1, choice.target
        metrics.TALLY.count(metrics.ROUTED, (choice.target.deployment, choice.reason.value))
        try:
            reply = await _attempt(upstream, passage, choice, ends_at, now)
        except UpstreamError as exc:
            metrics.UPSTREAM_FAILURES.labels(choice.target.deployment, choice.replica.name, exc.code).inc()
            if not _may_ask_another(upstream, choice, exc, now):
                raise
            tried.add(choice.replica.name)
            failed, now = exc, asyncio.get_running_loop().time()
        else:
            request.exchange.errand = None
            return reply
    raise failed or _nobody_ready(route, asked)


def _nobody_ready(route: Route, asked: Asked | None) -> NoReadyReplica:
    if asked is None or not asked.rule:
        whose = f"No replica of {route.name!r} is ready. Its"
    else:
        whose = f"Rule {asked.rule} of {route.name!r} sends this request to targets of which no replica is ready. Their"
    return NoReadyReplica(f"{whose} deployments may be starting or scaled to zero: see the console.")


def _may_ask_another(upstream: Upstream, choice: Choice, error: UpstreamError, began: float) -> bool:
    """Tell the rotation what an attempt that `began` then has failed of, and say whether that can be made good."""
    name = choice.replica.name
    if error.fault is Fault.SILENT and upstream.moved_since(choice.replica.address, began):
        # Not silent but slow. Others would be, too, and have the same work on top.
        upstream.rotation.told_nothing(name)
        return False
    if error.fault is None or error.fault is Fault.HUNG:
        upstream.rotation.told_nothing(name)
    else:
        upstream.rotation.failed(
            choice.target.deployment, choice.replica, error.fault, began=began, now=asyncio.get_running_loop().time(),
            why=str(error.__cause__ or error),
        )  # fmt: skip
    return error.retriable


async def _attempt(upstream: Upstream, passage: Passage, choice: Choice, ends_at: float, began: float) -> Reply:
    """One replica's answer, taken until the client can have the first of it."""
    rotation, name = upstream.rotation, choice.replica.name
    if not rotation.troubled:
        reply = await _ask(upstream, passage, choice, ends_at)
    else:
        rotation.picked(name, began)
        try:
            reply = await _ask(upstream, passage, choice, ends_at)
        except UpstreamError:
            raise
        except BaseException:
            rotation.told_nothing(name)
            raise
    if rotation.troubled:
        rotation.succeeded(name, began)
    return reply


async def _ask(upstream: Upstream, passage: Passage, choice: Choice, ends_at: float) -> Reply:
    request = passage.request
    message = _message(passage, choice)
    request.asked_at = request.asked_at or time.perf_counter()
    connection = await upstream.send(choice.replica, message, request.exchange, passage.route.timeouts, ends_at)
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
        # One that it does not know what to do with is the request's own; all others may be this engine's end.
        fault = None if status == 501 else Fault.FAILED
        raise UpstreamError(f"The engine failed with status {status}.", retriable=fault is not None, fault=fault)
    if status in {401, 403}:
        raise UpstreamError(
            "The engine does not accept the gateway's key.",
            retriable=True, code="upstream_refused", fault=Fault.KEY_REFUSED,
        )  # fmt: skip


async def relay(passage: Passage, reply: Reply) -> None:
    """Pass the answer on; the record's intent is durable before the first byte and its outcome before the last."""
    if reply.streamed:
        await _relay_stream(passage, reply)
    else:
        await _relay_plain(passage, reply)


async def _relay_plain(passage: Passage, reply: Reply) -> None:
    """A body that was taken whole leaves at once; a longer one flows, its last piece held back for the record."""
    request, record, connection = passage.request, passage.record, reply.connection
    piece, tail = await connection.read(), b""
    while not connection.ended:
        if not request.status:
            await record.durable()
            await request.begin(connection.status, reply.headers)
        record.output.update(piece)
        await request.write(piece, more=True)
        tail = (tail + piece)[-TAIL:]
        piece = await connection.read()
    piece += await connection.read()
    headers = reply.headers
    if connection.status >= 400 and not request.status:
        piece = in_shape(passage.endpoint, connection.status, piece, passage.call.model, request.id)
        headers[0] = JSON
    record.output.update(piece)
    read_usage = usage_at_end if request.status else usage_of_all
    record.usage = read_usage(passage.endpoint.stream, tail + piece)
    request.exchange.check()
    await record.close("ok" if connection.status < 400 else "refused_by_engine", connection.status)
    if not request.status:
        await request.answer(connection.status, piece, headers)
    else:
        await request.write(piece, more=False)


def usage_of_all(fmt: StreamFormat, body: bytes) -> Usage | None:
    """The usage in a whole answer."""
    return fmt.read(body)[0]


def usage_at_end(fmt: StreamFormat, tail: bytes) -> Usage | None:
    """The usage in an answer of which only the end is at hand. Engines write it behind what they generated.

    What follows it has to close the answer's object and nothing else, so one that lies deeper is not taken for it. Nor
    is one in a text: quotes are escaped there.
    """
    start = len(tail)
    for _ in range(MOST_LOOKS):
        start = tail.rfind(fmt.usage, 0, start)
        if start < 0:
            break
        if usage := fmt.read(b"{" + tail[start:])[0]:
            return usage
    return None


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
            await record.fail(error)
        await request.write(passage.endpoint.stream.error(error, request.id, record.events), more=False)
        raise
