"""OpenAI's generation endpoints."""

import msgspec

from inference.endpoints.call import read_call_with_usage
from inference.endpoints.endpoint import Endpoint
from inference.errors import openai_body
from inference.sse import Count, StreamFormat, Usage


class _Counts(msgspec.Struct, frozen=True):
    """Of a body without a completion, engines write its count as 0, as null or not at all."""

    prompt_tokens: Count | None = None
    completion_tokens: Count | None = None


class _Body(msgspec.Struct, frozen=True):
    usage: _Counts | None = None
    choices: list[msgspec.Raw] | None = None


_decode = msgspec.json.Decoder(_Body).decode


def read_usage(data: bytes) -> tuple[Usage | None, bool]:
    """The usage of a body or chunk; a chunk without choices tells nothing else."""
    try:
        body = _decode(data)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None, False
    if body.usage is None:
        return None, False
    return Usage(body.usage.prompt_tokens or 0, body.usage.completion_tokens or 0), not body.choices


STREAM = StreamFormat(
    done=b"[DONE]",
    ends=lambda data: data.strip() == b"[DONE]",
    usage=b'"usage"',
    read=read_usage,
    error=lambda error, request_id, _: b"data: " + openai_body(error, request_id) + b"\n\n",
)

ENDPOINTS = (
    Endpoint(
        path="/v1/chat/completions", name="chat", stream=STREAM, generates=True, read=read_call_with_usage
    ),
    Endpoint(
        path="/v1/completions", name="completion", stream=STREAM, generates=True, read=read_call_with_usage
    ),
)  # fmt: skip
