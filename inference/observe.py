"""What an answered request leaves behind besides the register: metrics and one line of the access log."""

import os
from datetime import datetime

import msgspec

from inference import metrics
from inference.errors import GatewayError
from inference.request import Request

_encode_lines = msgspec.json.Encoder().encode_lines


class Line(msgspec.Struct):
    """A line of the access log."""

    at: datetime
    request_id: str
    method: str
    path: str
    status: int
    reason: str
    project: str
    model: str
    version: str
    deployment: str
    prompt_tokens: int | None
    completion_tokens: int | None
    bytes: int
    ms: float
    ip: str | None
    client: str


class AccessLog:
    """One JSON line a request, without content. Lines are written together, a few times a second."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._lines: list[Line] = []

    def add(self, line: Line) -> None:
        self._lines.append(line)

    def flush(self) -> None:
        lines, self._lines = self._lines, []
        if lines:
            os.write(self._descriptor, _encode_lines(lines))


def measure(request: Request, error: GatewayError | None, now: float) -> None:
    """Count the request that ended `now`."""
    target, route = request.target, request.route
    ended = metrics.TALLY.requests(
        (
            route.name if route else "",
            target.version if target else "",
            target.deployment if target else "",
            request.project,
            str(request.status or (error.status if error else 0)),
            error.code if error else "ok",
        )
    )
    ended.count += 1
    if route is None:
        return
    ended.durations.append(now - request.started)
    if request.replied_at and request.begun_at:
        before, after = request.asked_at - request.started, request.begun_at - request.replied_at
        ended.overheads.append(before + after)
    if request.first_byte_at and error is None:
        ended.first_tokens.append(request.first_byte_at - request.started)
    if usage := request.usage:
        ended.prompt_tokens += usage.prompt_tokens
        ended.completion_tokens += usage.completion_tokens


def line(request: Request, error: GatewayError | None, now: float) -> Line:
    """The line of a request that ended `now`."""
    target, usage = request.target, request.usage
    return Line(
        request.started_at,
        request.id,
        request.method,
        request.path,
        request.status or (error.status if error else 0),
        error.code if error else "ok",
        request.project,
        request.route.name if request.route else "",
        target.version if target else "",
        target.deployment if target else "",
        usage.prompt_tokens if usage else None,
        usage.completion_tokens if usage else None,
        request.bytes_out,
        round((now - request.started) * 1000, 2),
        request.source_ip,
        request.client,
    )
