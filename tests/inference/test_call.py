"""What the gateway checked is what the engine sees."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inference.endpoints.call import _COUNTS, read_call_with_usage
from inference.errors import BadRequest

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=10,
)


READ = {"stream", "stream_options", *_COUNTS}
"""what the gateway reads, and so may refuse"""


@given(st.dictionaries(st.text().filter(lambda name: name not in READ), JSON), st.text())
def test_engine_gets_all_fields_and_its_own_model_name(fields: dict[str, object], model: str) -> None:
    call = read_call_with_usage(json.dumps({**fields, "model": model}).encode())
    assert call.model == model
    assert json.loads(call.body_for("served")) == {**fields, "model": "served"}


@pytest.mark.parametrize(
    "body",
    [
        b'{"model":"secret","model":"smol"}',
        b'{"mod\\u0065l":"secret","model":"smol"}',
        b'{"model":"secret", "\\u006dodel" : "smol"}',
        b' {\n"model"\t:\r "smol" } ',
    ],
)
def test_engine_sees_one_model_only(body: bytes) -> None:
    call = read_call_with_usage(body)
    assert call.model == "smol"
    assert call.body_for("served") == b'{"model":"served"}'


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"null",
        b"[]",
        b'"model"',
        b"{",
        b'{"model":"a"}{}',
        b'{"messages":[]}',
        b'{"model":null}',
        b'{"model":["a"]}',
        b'{"model":"a","stream":"yes"}',
        b'{"model":"a","stream":true,"stream_options":[]}',
        b'{"model":"a","x":"\xff"}',
        b'{"model":"\xff"}',
        b'{"model":"a","x":NaN}',
        b'{"model":"a","x":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
        b"\x00",
    ],
)
def test_bad_body_is_refused(body: bytes) -> None:
    with pytest.raises(BadRequest):
        read_call_with_usage(body)


def test_stream_asks_for_usage_and_keeps_the_other_options() -> None:
    call = read_call_with_usage(b'{"model":"a","stream":true,"stream_options":{"continuous_usage_stats":false}}')
    assert json.loads(call.body_for("a"))["stream_options"] == {"continuous_usage_stats": False, "include_usage": True}
    assert not call.wants_usage


def test_client_that_wants_usage_is_known() -> None:
    assert read_call_with_usage(b'{"model":"a","stream":true,"stream_options":{"include_usage":true}}').wants_usage


def test_plain_call_is_not_asked_for_usage() -> None:
    assert b"stream_options" not in read_call_with_usage(b'{"model":"a","stream":false}').body_for("a")
