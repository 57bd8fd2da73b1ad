"""What a stream of events says is joined by where it belongs."""

import pytest

from inference.streamed_text import StreamedText
from tests.inference.engine import DONE, USAGE_EVENT, delta, event


def texts(*events: bytes, most: int = 1000) -> dict[str, str]:
    text = StreamedText(most)
    for piece in events:
        text.feed(piece)
    return text.texts


def test_chat() -> None:
    assert texts(delta("Pa") + delta("ris"), USAGE_EVENT, DONE) == {"choices.0.content": "Paris"}


def test_two_choices_and_a_tool() -> None:
    def tool(arguments: str) -> bytes:
        call = {"index": 1, "id": "t", "type": "function", "function": {"arguments": arguments}}
        return event({"choices": [{"index": 1, "delta": {"role": "assistant", "tool_calls": [call]}}]})

    assert texts(delta("a"), tool('{"x":'), tool("1}")) == {
        "choices.0.content": "a",
        "choices.1.tool_calls.1.arguments": '{"x":1}',
    }


def test_completions() -> None:
    assert texts(event({"choices": [{"index": 0, "text": "Par"}]}), event({"choices": [{"text": "is"}]})) == {
        "choices.0.text": "Paris"
    }


def test_responses_tell_their_text_once() -> None:
    said = {"type": "response.output_text.delta", "output_index": 0, "delta": "Paris"}
    whole = {"type": "response.output_text.done", "output_index": 0, "text": "Paris"}
    assert texts(event(said), event(whole)) == {"response.output_text.delta.0": "Paris"}


@pytest.mark.parametrize("data", [b"{", b"[]", b"1", b"null", b'{"choices": 1}', b'{"choices": [1]}', b'{"delta": []}',
                                  b'{"choices": [{"delta": {"tool_calls": [{"function": 1}]}}]}', b"\xff"])  # fmt: skip
def test_what_is_no_text_is_passed_over(data: bytes) -> None:
    assert texts(event(data), delta("a")) == {"choices.0.content": "a"}


def test_nothing_is_kept_behind_a_cut() -> None:
    text = StreamedText(5)
    for piece in (delta("1234"), delta("56"), delta("7")):
        text.feed(piece)
    assert text.texts == {"choices.0.content": "1234"}
    assert (text.size, text.truncated) == (7, True)
