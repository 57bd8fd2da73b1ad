"""The format of API keys: made, checked offline, and stored as a digest."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inference.contract import keys


def test_made_key_is_well_formed() -> None:
    for _ in range(200):
        made = keys.generate()
        assert keys.parse(made.token) == made
        assert [len(part) for part in made.token.split("_")] == [3, 8, 43, 6]


def test_keys_differ() -> None:
    assert len({keys.generate().token for _ in range(1000)}) == 1000


@given(st.integers(0, 62), st.characters())
def test_one_wrong_character_is_noticed(position: int, character: str) -> None:
    token = keys.generate().token
    changed = token[:position] + character + token[position + 1 :]
    assert (keys.parse(changed) is None) == (changed != token)


@given(st.text())
def test_no_text_breaks_the_parser(text: str) -> None:
    assert keys.parse(text) is None


@given(st.text(max_size=5), st.text(max_size=5))
def test_nothing_may_stand_around_it(before: str, after: str) -> None:
    token = keys.generate().token
    assert (keys.parse(before + token + after) is None) == bool(before or after)


def test_checksum_keeps_its_width() -> None:
    assert {len(keys.checksum(f"body{number}")) for number in range(2000)} == {6}


def test_digest_needs_the_pepper_and_the_whole_key() -> None:
    token, pepper = keys.generate().token, keys.pepper("a")
    assert keys.digest(token, pepper) == keys.digest(token, pepper)
    assert len({keys.digest(token, pepper), keys.digest(token, keys.pepper("b")), keys.digest(token[:-1], pepper)}) == 3


@pytest.mark.parametrize("other", [("b", "r-0"), ("a", "r-1")])
def test_engine_keys_differ_by_installation_and_replica(other: tuple[str, str]) -> None:
    assert keys.engine_key("a", "r-0") != keys.engine_key(*other)


@pytest.mark.parametrize("prefix", [keys.PREFIX, "sbm", "sbr"])
@pytest.mark.parametrize(("before", "after"), [("", ""), ("id-", "-1"), ("sbx_", "_")])
def test_whole_key_is_found_in_a_text(prefix: str, before: str, after: str) -> None:
    token = keys.generate(prefix=prefix).token
    assert keys.stands_in(before + token + after)
    assert not keys.stands_in(before + token[:12] + after)
