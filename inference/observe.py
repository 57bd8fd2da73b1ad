"""What an answered request leaves behind besides the register: metrics and one line of the access log."""

import os
import time

import msgspec

from inference import metrics
from inference.errors import GatewayError
from inference.request import Request

_encode = msgspec.json.Encoder().encode


class AccessLog:
    """One JSON line a request, without content. Lines are written together, at most `EVERY` seconds late."""

    EVERY = 0.2

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._lines: list[bytes] = []

    def add(self, line: dict[str, object]) -> bool:
        """True when this is the first line since the last `flush`: somebody has to call it soon."""
        self._lines.append(_encode(line))
        return len(self._lines) == 1

    def flush(self) -> None:
        lines, self._lines = self._lines, []
        if lines:
            os.write(self._descriptor, b"\n".join(lines) + b"\n")


def measure(request: Request, error: GatewayError | None) -> None:
    """Count the request."""
    target, model = request.target, request.route.name if request.route else ""
    metrics.REQUESTS.labels(
        model,
        target.version if target else "",
        target.deployment if target else "",
        request.project,
        request.status or (error.status if error else 0),
        error.code if error else "ok",
    ).inc()
    if request.route is None:
        return
    metrics.DURATION.labels(model).observe(time.perf_counter() - request.started)
    if request.replied_at and request.begun_at:
        before, after = request.asked_at - request.started, request.begun_at - request.replied_at
        metrics.OVERHEAD.observe(before + after)
    if request.first_byte_at and error is None:
        metrics.FIRST_TOKEN.labels(model).observe(request.first_byte_at - request.started)
    if usage := request.usage:
        metrics.TOKENS.labels(model, request.project, "prompt").inc(usage.prompt_tokens)
        metrics.TOKENS.labels(model, request.project, "completion").inc(usage.completion_tokens)


def line(request: Request, error: GatewayError | None) -> dict[str, object]:
    """The request's line in the access log."""
    target, usage = request.target, request.usage
    return {
        "at": request.started_at,
        "request_id": request.id,
        "method": request.method,
        "path": request.path,
        "status": request.status or (error.status if error else 0),
        "reason": error.code if error else "ok",
        "project": request.project,
        "model": request.route.name if request.route else "",
        "version": target.version if target else "",
        "deployment": target.deployment if target else "",
        "prompt_tokens": usage and usage.prompt_tokens,
        "completion_tokens": usage and usage.completion_tokens,
        "bytes": request.bytes_out,
        "ms": round((time.perf_counter() - request.started) * 1000, 2),
        "ip": request.source_ip,
        "client": request.client,
    }
