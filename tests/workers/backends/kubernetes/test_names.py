"""Names of objects are RFC 1123 labels whatever they are made of, and no two meet."""

import re

from hypothesis import given
from hypothesis import strategies as st

from workers.backends.kubernetes.names import object_name

LABEL = re.compile(r"[a-z]([-a-z0-9]{0,61}[a-z0-9])?\Z", re.ASCII)


def test_plain_name_stays_readable() -> None:
    assert object_name("qwen3-0") == "sb-qwen3-0"


def test_long_name_is_shortened_with_a_hash() -> None:
    one, other = object_name("a" * 80), object_name("a" * 81)
    assert len(one) == 63
    assert one != other


@given(st.text())
def test_any_name_becomes_a_label(name: str) -> None:
    assert LABEL.match(object_name(name))


@given(st.text(max_size=5), st.text(max_size=5))
def test_different_names_stay_different(one: str, other: str) -> None:
    assert (object_name(one) == object_name(other)) == (one == other)
