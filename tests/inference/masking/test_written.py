"""JSON stays JSON, and escapes hide nothing."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.personal_texts import texts
from inference.masking import Kind, mask_json

SAMPLES = [sample.text for sample in texts(60, seed=11)]


def test_strings_are_masked_and_nothing_else_changes() -> None:
    text = '{ "model":"m", "n" : 1.50, "messages":[{"content":"拨打13800138000"}], "n":2 }'
    assert mask_json(text).text == text.replace("13800138000", "[MOBILE]")


@pytest.mark.parametrize("written", [r"\u4eacA12345", r"\u4eac\u004112345", "京A12345", r"\u4eacA\u0031\u0032345"])
def test_escapes_are_seen_through(written: str) -> None:
    found = mask_json(f'{{"content":"plate {written}"}}')
    assert json.loads(found.text) == {"content": "plate [LICENCE_PLATE]"}


def test_bare_numbers() -> None:
    found = mask_json('{"phone": 13800138000, "at": 1700000000000, "x": [0.13800138000, 13800138000.5]}')
    assert json.loads(found.text) == {"phone": "[MOBILE]", "at": 1700000000000, "x": [0.138001380, 13800138000.5]}


def test_name_of_a_field_says_what_it_holds() -> None:
    assert mask_json('{"passport": "533380006"}').counts == {Kind.PASSPORT: 1}
    assert mask_json('{"order_id": 13800138000}').counts == {}


def test_arguments_of_a_tool_are_json_in_json() -> None:
    arguments = json.dumps({"to": "13800138000", "plate": "京A12345"})
    found = json.loads(mask_json(json.dumps({"arguments": arguments})).text)
    assert json.loads(found["arguments"]) == {"to": "[MOBILE]", "plate": "[LICENCE_PLATE]"}


@pytest.mark.parametrize("place", range(1, 60))
def test_a_document_that_was_cut_shows_no_part_of_a_number(place: int) -> None:
    text = '{"a":"x","phone":13800138000,"messages":[{"content":"拨打 6222021234567890128 吧"}]}'
    shown = mask_json(text[:place], whole=False).text
    assert "138" not in shown
    assert "622" not in shown


values = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**6), 10**6) | st.sampled_from(SAMPLES) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=12,
)


@settings(max_examples=60, deadline=None)
@given(values, st.booleans())
def test_it_stays_json_of_the_same_shape(value: object, ascii_only: bool) -> None:
    found = mask_json(json.dumps(value, ensure_ascii=ascii_only))
    assert shape(json.loads(found.text)) == shape(value)


def shape(value: object) -> object:
    if isinstance(value, dict):
        return len(value), [shape(inner) for inner in value.values()]
    return [shape(inner) for inner in value] if isinstance(value, list) else type(value)


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(SAMPLES), st.integers(0, 400))
def test_any_beginning_can_be_masked(text: str, cut: int) -> None:
    document = json.dumps({"messages": [{"content": text}]}, ensure_ascii=False)
    mask_json(document[:cut], whole=False)
