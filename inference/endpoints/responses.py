"""OpenAI's Responses API: named events, the last of which holds the whole answer and its usage."""

import msgspec

from inference.endpoints.endpoint import Endpoint
from inference.errors import GatewayError
from inference.sse import Count, StreamFormat, Usage

_ENDS = frozenset({"response.completed", "response.incomplete", "response.failed"})
_encode = msgspec.json.Encoder().encode


class _Counts(msgspec.Struct, frozen=True):
    input_tokens: Count | None = None
    output_tokens: Count | None = None


class _Response(msgspec.Struct, frozen=True):
    usage: _Counts | None = None


class _Data(msgspec.Struct, frozen=True):
    type: str = ""
    usage: _Counts | None = None
    """of a whole answer"""
    response: _Response | None = None
    """of an event"""


_decode = msgspec.json.Decoder(_Data).decode


def _read(data: bytes) -> _Data:
    try:
        return _decode(data)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return _Data()


def read_usage(data: bytes) -> tuple[Usage | None, bool]:
    """The usage of a response or of the event that holds it."""
    body = _read(data)
    counts = body.response.usage if body.response else body.usage
    return (Usage(counts.input_tokens or 0, counts.output_tokens or 0) if counts else None), False


def error_event(error: GatewayError, request_id: str, sent: int) -> bytes:
    """The API's own error event. The official clients raise for its ``error`` only and hand on what else it tells."""
    del request_id
    told = {"message": str(error), "type": error.type, "param": error.param, "code": error.code}
    data = {"type": "error", "sequence_number": sent, **{name: told[name] for name in ("code", "message", "param")}}
    return b"event: error\ndata: " + _encode({**data, "error": told}) + b"\n\n"


STREAM = StreamFormat(
    done=b'"usage"',  # the last event holds the whole response, in which it stands, be it null
    ends=lambda data: _read(data).type in _ENDS,
    usage=b'"usage"',
    read=read_usage,
    error=error_event,
)

ENDPOINTS = (Endpoint(path="/v1/responses", name="response", stream=STREAM, generates=True),)
