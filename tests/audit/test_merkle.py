"""Trees as RFC 6962 builds them: its own definition, written down once more, is the oracle."""

from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from audit import merkle

CONTENTS = [bytes.fromhex(text) for text in ("", "00", "10", "2021", "3031", "40414243")]
CONTENTS += [bytes.fromhex("5051525354555657"), bytes.fromhex("606162636465666768696a6b6c6d6e6f")]
"""those of Certificate Transparency's reference tests, whose roots are known"""


def by_definition(contents: list[bytes]) -> bytes:
    if not contents:
        return sha256().digest()
    if len(contents) == 1:
        return sha256(b"\x00" + contents[0]).digest()
    left = 1
    while left * 2 < len(contents):
        left *= 2
    return sha256(b"\x01" + by_definition(contents[:left]) + by_definition(contents[left:])).digest()


@pytest.mark.parametrize(
    ("size", "expected"),
    [
        (0, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"),
        (1, "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d"),
        (8, "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328"),
    ],
)
def test_roots_that_others_publish(size: int, expected: str) -> None:
    assert merkle.root([merkle.leaf(content) for content in CONTENTS[:size]]).hex() == expected


@given(st.lists(st.binary(max_size=3), max_size=70))
def test_root_is_that_of_the_definition(contents: list[bytes]) -> None:
    assert merkle.root([merkle.leaf(content) for content in contents]) == by_definition(contents)


@st.composite
def trees(draw: st.DrawFn) -> tuple[list[bytes], list[int]]:
    """Different leaves, and the places of some of them."""
    size = draw(st.integers(1, 70))
    places = draw(st.sets(st.integers(0, size - 1)))
    return [merkle.leaf(str(number).encode()) for number in range(size)], sorted(places)


@given(trees())
def test_some_leaves_and_their_proof_give_the_root(tree: tuple[list[bytes], list[int]]) -> None:
    leaves, places = tree
    proof = merkle.prove(leaves, places)
    assert merkle.proven_root(len(leaves), [(place, leaves[place]) for place in places], proof) == merkle.root(leaves)


@given(trees(), st.data())
def test_no_other_leaf_proof_or_place_gives_it(tree: tuple[list[bytes], list[int]], data: st.DataObject) -> None:
    leaves, places = tree
    proof, expected = merkle.prove(leaves, places), merkle.root(leaves)
    proven = [(place, leaves[place]) for place in places]
    assert merkle.verifies(expected, len(leaves), proven, proof)
    assert not merkle.verifies(expected, len(leaves), proven, [*proof, bytes(32)])
    if proof:
        assert not merkle.verifies(expected, len(leaves), proven, proof[:-1])
        wrong = data.draw(st.integers(0, len(proof) - 1))
        assert not merkle.verifies(expected, len(leaves), proven, [*proof[:wrong], bytes(32), *proof[wrong + 1 :]])
    if proven:
        wrong = data.draw(st.integers(0, len(proven) - 1))
        changed = [*proven[:wrong], (places[wrong], merkle.leaf(b"another")), *proven[wrong + 1 :]]
        assert not merkle.verifies(expected, len(leaves), changed, proof)


def test_one_leaf_needs_as_many_hashes_as_the_tree_is_deep() -> None:
    leaves = [merkle.leaf(bytes([number])) for number in range(100)]
    assert len(merkle.prove(leaves, [42])) == 7


@pytest.mark.parametrize("places", [[1, 0], [0, 0], [-1], [3]])
def test_places_that_are_none(places: list[int]) -> None:
    with pytest.raises(merkle.BadProof):
        merkle.prove([merkle.leaf(b"")] * 3, places)
