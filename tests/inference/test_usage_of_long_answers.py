"""An answer too long to be taken whole still tells its usage: it stands near the end."""

import asyncio
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inference.endpoints import anthropic, openai, responses
from inference.forwarding import LARGEST_WHOLE, TAIL, usage_at_end
from inference.sse import StreamFormat, Usage
from tests.inference.conftest import RegisterReader, Start, route
from tests.inference.engine import COMPLETION, USAGE, Asked, Engine, plain


def tail_of(body: dict[str, Any], size: int = 2000) -> bytes:
    return json.dumps(body).encode()[-size:]


OPENAI = {"usage": USAGE, "prompt_logprobs": None, "kv_transfer_params": None}
ANTHROPIC = {"usage": {"input_tokens": 7, "output_tokens": 3}}
RESPONSE = {"usage": {"input_tokens": 7, "output_tokens": 3, "output_tokens_details": {"reasoning_tokens": 0}}, "x": 1}


@pytest.mark.parametrize(
    ("fmt", "end"), [(openai.STREAM, OPENAI), (anthropic.STREAM, ANTHROPIC), (responses.STREAM, RESPONSE)]
)
def test_usage_is_found_behind_a_long_text(fmt: StreamFormat, end: dict[str, Any]) -> None:
    assert usage_at_end(fmt, tail_of({"id": "c", "choices": ["x" * 5000], **end})) == Usage(7, 3)


NO_USAGE: dict[str, dict[str, Any]] = {
    "none": {"choices": ["x" * 3000]},
    "deeper": {"choices": ["x" * 3000], "last": {"usage": USAGE}},
    "in a list": {"choices": ["x" * 3000], "last": [{"usage": USAGE}]},
    "in a text": {"choices": ["x" * 3000, json.dumps({"usage": USAGE})]},
    "at the end of a text": {"choices": ["x" * 3000 + json.dumps({"usage": USAGE})[1:-1]]},
    "as a value": {"choices": ["x" * 3000], "kind": "usage"},
}


@pytest.mark.parametrize("body", NO_USAGE.values(), ids=NO_USAGE)
def test_no_other_usage_is_taken_for_it(body: dict[str, Any]) -> None:
    assert usage_at_end(openai.STREAM, tail_of(body)) is None


def test_word_behind_it_does_not_hide_it() -> None:
    body = {"choices": ["x" * 5000], "usage": USAGE, "prompt_logprobs": [{"1": {"decoded_token": "usage"}}]}
    assert usage_at_end(openai.STREAM, tail_of(body)) == Usage(7, 3)


@given(st.binary(max_size=300).map(lambda noise: noise.replace(b"x", b'"usage"')))
def test_hostile_end_is_no_usage(tail: bytes) -> None:
    assert usage_at_end(openai.STREAM, tail) is None


@given(st.integers(0, 2**40), st.integers(0, 2**40), st.text(max_size=50))
def test_usage_is_read_as_it_was_written(prompt: int, completion: int, text: str) -> None:
    body = {"choices": [text], "usage": {"prompt_tokens": prompt, "completion_tokens": completion}, "text": text}
    assert usage_at_end(openai.STREAM, json.dumps(body).encode()[1:]) == Usage(prompt, completion)


@pytest.mark.parametrize("length", [LARGEST_WHOLE, LARGEST_WHOLE + TAIL, 4 * LARGEST_WHOLE])
async def test_usage_of_a_long_answer_is_recorded(start: Start, register: RegisterReader, length: int) -> None:
    body = json.dumps({"logprobs": "x" * length, **COMPLETION}).encode()

    async def long(engine: Engine, asked: Asked, writer: asyncio.StreamWriter) -> None:
        writer.write(plain(body))
        await writer.drain()

    async with Engine(long) as engine:
        gateway = await start(route("smol", engine.url))
        assert (await gateway.chat()).content == body
    outcome = register.rows(kind="outcome")[0]
    assert (outcome["prompt_tokens"], outcome["completion_tokens"]) == (7, 3)
