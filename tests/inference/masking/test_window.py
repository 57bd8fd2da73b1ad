"""Chunk borders change nothing."""

import itertools

from hypothesis import given, settings
from hypothesis import strategies as st

from bench.personal_texts import texts
from inference.masking import Masker, mask
from inference.masking.kinds import REACH

SAMPLES = texts(60, seed=7)
PIECES = (
    "13800138000",
    "+86 ",
    "6222 0212 3456 7890 128",
    "110101199003070092",
    "E12345678",
    "京A12345",
    "a@b.cn",
    "订单号",
    "护照",
    " ",
    "-",
    ".",
    "1",
    "x",
    "，",
    "@",
    "元",
    "a" * 70,
    "0" * 40,
)


def in_pieces(text: str, cuts: list[int]) -> tuple[str, dict]:
    masker = Masker()
    borders = [0, *sorted(cuts), len(text)]
    done = "".join(masker.feed(text[a:b]) for a, b in itertools.pairwise(borders))
    return done + masker.finish(), dict(masker.counts)


def test_every_split_position() -> None:
    text = "".join(sample.text for sample in SAMPLES[:5])
    whole = mask(text)
    assert whole.counts.total() > 4
    for cut in range(len(text) + 1):
        assert in_pieces(text, [cut]) == (whole.text, dict(whole.counts)), cut


def test_one_character_at_a_time() -> None:
    for sample in SAMPLES:
        whole = mask(sample.text)
        assert in_pieces(sample.text, list(range(len(sample.text)))) == (whole.text, dict(whole.counts))


@settings(max_examples=100, deadline=None)
@given(st.lists(st.sampled_from(PIECES), max_size=60).map("".join), st.data())
def test_any_pieces_of_any_text(text: str, data: st.DataObject) -> None:
    cuts = data.draw(st.lists(st.integers(0, len(text)), max_size=8))
    whole = mask(text)
    assert in_pieces(text, cuts) == (whole.text, dict(whole.counts))


@settings(max_examples=50, deadline=None)
@given(st.text(max_size=2_000), st.integers(1, 50))
def test_never_more_than_the_window_is_held_back(text: str, size: int) -> None:
    masker, said = Masker(), 0
    for start in range(0, len(text), size):
        said += len(masker.feed(text[start : start + size]))
    assert masker.counts or len(text) - said <= REACH


def test_what_a_cut_leaves_open_is_not_told() -> None:
    """A text that is not finished keeps what could become a number."""
    masker = Masker()
    assert "138" not in masker.feed("x" * 1000 + " 138001380")
