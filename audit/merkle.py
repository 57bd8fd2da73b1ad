"""Merkle trees as RFC 6962 builds them: roots, and proofs that some leaves belong to a root. Pure.

A leaf is SHA-256(0x00 ‖ bytes), a node SHA-256(0x01 ‖ left ‖ right), and the left half of a tree holds the largest
power of two that is smaller than its size. The root of nothing is SHA-256 of nothing. Roots and proofs take hashed
leaves.

A multiproof is the hashes of the largest subtrees without any proven leaf, from left to right. With one leaf it holds
what an inclusion proof holds.
"""

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from hashlib import sha256
from itertools import pairwise

LEAF, NODE = b"\x00", b"\x01"
NOTHING = sha256().digest()


class BadProof(ValueError):
    """The proof has too few or too many hashes, or names leaves that the tree does not have."""


def leaf(content: bytes) -> bytes:
    """The hash of a leaf."""
    return sha256(LEAF + content).digest()


def node(left: bytes, right: bytes) -> bytes:
    """The hash of two subtrees."""
    return sha256(NODE + left + right).digest()


def root(leaves: Sequence[bytes]) -> bytes:
    """The hash of the whole tree; level by level, because the last subtree without a partner moves up as it is."""
    if not leaves:
        return NOTHING
    level = list(leaves)
    while len(level) > 1:
        odd = level[-1:] if len(level) % 2 else []
        pairs = zip(level[0::2], level[1::2], strict=False)
        level = [sha256(NODE + left + right).digest() for left, right in pairs] + odd
    return level[0]


def prove(leaves: Sequence[bytes], places: Sequence[int]) -> list[bytes]:
    """The multiproof for the leaves at `places`, ascending and each once. Raises `BadProof`."""
    _check(len(leaves), places)
    return list(_prove(leaves, places, 0, len(leaves)))


def _prove(leaves: Sequence[bytes], places: Sequence[int], first: int, size: int) -> Iterator[bytes]:
    if not _holds(places, first, size):
        yield root(leaves[first : first + size])
    elif size > 1:
        left = _left_size(size)
        yield from _prove(leaves, places, first, left)
        yield from _prove(leaves, places, first + left, size - left)


def proven_root(size: int, proven: Sequence[tuple[int, bytes]], proof: Sequence[bytes]) -> bytes:
    """The root of a tree of `size` that has these leaves (place, hash) and the hashes of `proof`. Raises `BadProof`."""
    places = [place for place, _ in proven]
    _check(size, places)
    known, others = dict(proven), iter(proof)

    def of(first: int, size: int) -> bytes:
        if not _holds(places, first, size):
            return next(others)
        if size == 1:
            return known[first]
        left = _left_size(size)
        return node(of(first, left), of(first + left, size - left))

    try:
        found = of(0, size) if size else NOTHING
    except StopIteration as exc:
        raise BadProof("the proof has too few hashes") from exc
    if next(others, None) is not None:
        raise BadProof("the proof has too many hashes")
    return found


def verifies(expected: bytes, size: int, proven: Sequence[tuple[int, bytes]], proof: Sequence[bytes]) -> bool:
    """Whether these leaves belong to that root."""
    try:
        return proven_root(size, proven, proof) == expected
    except BadProof:
        return False


def _left_size(size: int) -> int:
    return 1 << (size - 1).bit_length() - 1


def _holds(places: Sequence[int], first: int, size: int) -> bool:
    """Whether any of the ascending places lies in the subtree."""
    found = bisect_left(places, first)
    return found < len(places) and places[found] < first + size


def _check(size: int, places: Sequence[int]) -> None:
    ascending = all(before < after for before, after in pairwise(places))
    if not ascending or (places and (places[0] < 0 or places[-1] >= size)):
        raise BadProof("the places of leaves ascend and lie within the tree")
