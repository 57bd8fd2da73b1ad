"""Streams are passed on event by event, however the network cuts them."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inference.endpoints.openai import STREAM as OPENAI
from inference.errors import UpstreamError
from inference.sse import EventStream, Usage
from tests.inference.engine import DONE, USAGE_EVENT, delta, event

STREAM = delta("Pa") + delta("ris") + USAGE_EVENT + DONE


def cut(whole: bytes, places: list[int]) -> list[bytes]:
    edges = sorted({0, len(whole), *(place % (len(whole) + 1) for place in places)})
    return [whole[a:b] for a, b in pairwise(edges)]


def run(pieces: list[bytes], *, strip_usage: bool) -> tuple[bytes, EventStream]:
    stream = EventStream(OPENAI, strip_usage=strip_usage)
    return b"".join(stream.feed(piece) for piece in pieces) + stream.finish(), stream


@given(st.lists(st.integers(min_value=0)), st.booleans(), st.sampled_from([b"\n", b"\r\n", b"\r"]))
def test_any_cut_gives_the_same_stream(places: list[int], strip: bool, newline: bytes) -> None:
    whole = STREAM.replace(b"\n", newline)
    usage = USAGE_EVENT.replace(b"\n", newline)
    passed, stream = run(cut(whole, places), strip_usage=strip)
    expected = whole.replace(usage, b"") if strip else whole
    assert passed.replace(b"\r", b"\n").replace(b"\n", b"") == expected.replace(b"\r", b"\n").replace(b"\n", b"")
    assert stream.usage == Usage(7, 3)


@given(st.binary(max_size=300), st.lists(st.integers(min_value=0)))
def test_garbage_never_breaks_it(garbage: bytes, places: list[int]) -> None:
    stream = EventStream(OPENAI, strip_usage=True)
    passed = b"".join(stream.feed(piece) for piece in cut(garbage, places))
    assert len(passed) <= len(garbage)


@given(st.lists(st.integers(min_value=0)))
def test_client_gets_whole_events_only(places: list[int]) -> None:
    stream = EventStream(OPENAI, strip_usage=False)
    for piece in cut(STREAM, places):
        passed = stream.feed(piece)
        assert not passed or passed.endswith(b"\n\n")


def test_end_is_held_back() -> None:
    stream = EventStream(OPENAI, strip_usage=False)
    assert stream.feed(delta("a") + DONE) == delta("a")
    assert stream.finish() == DONE


def test_cut_stream_has_no_end() -> None:
    stream = EventStream(OPENAI, strip_usage=False)
    stream.feed(delta("a"))
    with pytest.raises(UpstreamError):
        stream.finish()


def test_nothing_follows_the_end() -> None:
    passed, _ = run([DONE + delta("late"), delta("later")], strip_usage=False)
    assert passed == DONE


def test_text_that_looks_like_the_end_is_text() -> None:
    tricky = delta('[DONE] "usage" \n\ndata: [DONE]')
    passed, _ = run([tricky, DONE], strip_usage=True)
    assert passed == tricky + DONE


def test_usage_beside_text_is_read_and_kept() -> None:
    last = event({"choices": [{"delta": {}}], "usage": {"prompt_tokens": 1, "completion_tokens": 2}})
    passed, stream = run([last, DONE], strip_usage=True)
    assert (passed, stream.usage) == (last + DONE, Usage(1, 2))


def test_null_usage_is_no_usage() -> None:
    chunk = event({"choices": [{"delta": {"content": "a"}}], "usage": None})
    passed, stream = run([chunk, DONE], strip_usage=True)
    assert (passed, stream.usage) == (chunk + DONE, None)


def test_comments_pass() -> None:
    assert run([b": keep-alive\n\n", DONE], strip_usage=True)[0] == b": keep-alive\n\n" + DONE


def test_event_without_end_is_an_error() -> None:
    stream = EventStream(OPENAI, strip_usage=False)
    with pytest.raises(UpstreamError):
        stream.feed(b"data: " + b"x" * 9 * 1024 * 1024)
