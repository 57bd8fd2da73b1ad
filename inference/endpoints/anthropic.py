"""Anthropic's Messages API, with errors in its own shape: https://docs.anthropic.com/en/api/errors."""

import msgspec

from inference.endpoints.endpoint import Endpoint
from inference.errors import GatewayError
from inference.sse import Count, StreamFormat, Usage

ROOT = "/v1/messages"
ID_HEADER = b"request-id"
_TYPES = {
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    503: "overloaded_error",
    504: "timeout_error",
}
_encode = msgspec.json.Encoder().encode


class _Counts(msgspec.Struct, frozen=True):
    """What was read from or written to the cache is not among the input tokens."""

    input_tokens: Count | None = None
    output_tokens: Count | None = None
    cache_creation_input_tokens: Count | None = None
    cache_read_input_tokens: Count | None = None


class _Message(msgspec.Struct, frozen=True):
    usage: _Counts | None = None


class _Data(msgspec.Struct, frozen=True):
    type: str = ""
    usage: _Counts | None = None
    """of a whole message and of ``message_delta``"""
    message: _Message | None = None
    """of ``message_start``"""


_decode = msgspec.json.Decoder(_Data).decode


def _read(data: bytes) -> _Data:
    try:
        return _decode(data)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return _Data()


def read_usage(data: bytes) -> tuple[Usage | None, bool]:
    """The usage of a message or an event."""
    body = _read(data)
    counts = body.message.usage if body.message else body.usage
    if counts is None:
        return None, False
    cached = (counts.cache_creation_input_tokens or 0) + (counts.cache_read_input_tokens or 0)
    return Usage((counts.input_tokens or 0) + cached, counts.output_tokens or 0), False


def error_body(error: GatewayError, request_id: str) -> bytes:
    """The error object of Anthropic's API."""
    kind = _TYPES.get(error.status, "invalid_request_error" if error.status < 500 else "api_error")
    return _encode(
        {"type": "error", "error": {"type": kind, "message": str(error)}, "request_id": request_id}
    )  # fmt: skip


STREAM = StreamFormat(
    done=b"message_stop",
    ends=lambda data: _read(data).type == "message_stop",
    usage=b'"usage"',
    read=read_usage,
    error=lambda error, request_id, _: b"event: error\ndata: " + error_body(error, request_id) + b"\n\n",
)

ENDPOINTS = (
    Endpoint(path=ROOT, name="message", stream=STREAM, generates=True, error_body=error_body, id_header=ID_HEADER),
    Endpoint(
        path=f"{ROOT}/count_tokens", name="count_tokens", stream=STREAM, error_body=error_body, id_header=ID_HEADER
    ),
)
