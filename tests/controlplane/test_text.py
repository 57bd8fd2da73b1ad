"""What nobody sees, or what makes a text read otherwise than it is written, is refused wherever a text comes from."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controlplane.text import ONE_LINE, PARAGRAPHS, UNUSABLE, composed, unusable_character


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("a\x00b", "U+0000"), ("a\nb", "U+000A"), ("\x1b[31m", "U+001B"), ("pay\u202eexe", "U+202E"),
        ("zero\u200bwidth", "U+200B"), ("two\u2028lines", "U+2028"), ("\ufeffmark", "U+FEFF"),
        ("hidden\U000e0041", "U+E0041"), ("half\ud800", "U+D800"),
    ],
)  # fmt: skip
def test_names_what_is_refused(text: str, named: str) -> None:
    assert unusable_character(text) == named


@pytest.mark.parametrize("text", ["", "Team A", "信号楼", "प्रोजेक्ट", "می\u200cخواهم", "👩\u200d💻", "Straße", "naïve"])
def test_every_script_is_welcome(text: str) -> None:
    assert unusable_character(text) is None


def test_paragraphs_may_have_line_breaks_and_no_overrides() -> None:
    assert unusable_character("a\r\n\tb", paragraphs=True) is None
    assert unusable_character("a\n\u202eb", paragraphs=True) == "U+202E"


def test_equal_texts_become_equal() -> None:
    assert composed("e\u0301") == "\u00e9"


BORDERS = sorted({code for first, last in UNUSABLE for code in (first - 1, first, last, last + 1) if code >= 0})


@pytest.mark.parametrize("code", BORDERS)
def test_pattern_of_the_description_agrees_at_every_border(code: int) -> None:
    agree(chr(code))


@given(st.characters())
def test_pattern_of_the_description_agrees(character: str) -> None:
    agree(character)


def agree(character: str) -> None:
    if "\ud800" <= character <= "\udfff":
        return  # no JSON text holds one
    assert bool(re.fullmatch(ONE_LINE, character)) == (unusable_character(character) is None)
    assert bool(re.fullmatch(PARAGRAPHS, character)) == (unusable_character(character, paragraphs=True) is None)
