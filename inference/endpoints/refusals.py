"""An engine's refusal in the shape of the client's API: frameworks below the engine answer in shapes of their own."""

import msgspec

from inference.endpoints.endpoint import Endpoint
from inference.errors import EngineRefused, openai_body

LONGEST_MESSAGE = 2_000


class _Error(msgspec.Struct, frozen=True):
    message: str


class _OpenAI(msgspec.Struct, frozen=True):
    error: _Error


class _Other(msgspec.Struct, frozen=True):
    detail: str | list[msgspec.Raw] | None = None
    message: str | None = None
    error: str | None = None


_decode_openai = msgspec.json.Decoder(_OpenAI).decode
_decode_other = msgspec.json.Decoder(_Other).decode
_UNREADABLE = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)


def in_shape(endpoint: Endpoint, status: int, body: bytes, model: str, request_id: str) -> bytes:
    """The body for the client: unchanged where the engine spoke as the API does, else its message in a new one."""
    message = _openai_message(body)
    if message is not None and endpoint.error_body is openai_body:
        return body
    if message is None:
        message = _other_message(body)
    if status in {404, 405} and message in {"", "Not Found", "Method Not Allowed"}:
        error = EngineRefused(f"The model {model!r} does not serve {endpoint.path}.", status, "endpoint_not_served")
    else:
        error = EngineRefused(message, status)
    return endpoint.error_body(error, request_id)


def _openai_message(body: bytes) -> str | None:
    """Anthropic's errors hold theirs at the same place."""
    try:
        return _decode_openai(body).error.message
    except _UNREADABLE:
        return None


def _other_message(body: bytes) -> str:
    """What is said elsewhere; nothing, if the body is not JSON."""
    try:
        told = _decode_other(body)
    except _UNREADABLE:
        return ""
    detail = told.detail
    if isinstance(detail, list):
        detail = b", ".join(map(bytes, detail)).decode()
    return (detail or told.message or told.error or "")[:LONGEST_MESSAGE]
