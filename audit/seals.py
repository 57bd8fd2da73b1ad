"""What a seal binds and how seals hang together; docs/register.md has the format. Pure."""

import json
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from hashlib import sha256
from itertools import groupby
from typing import Any, NamedTuple

from audit import merkle

FIRST_PREV = bytes(32)
Run = tuple[str, int, int]
"""a writer, and its first and last number of a row of numbers without a gap"""


class Leaf(NamedTuple):
    """A row as a seal sees it."""

    writer: str
    number: int
    at: str
    """as in the canonical bytes, so that it compares as text; empty for a time that is none"""
    hash: bytes


def moment(at: datetime) -> str:
    """A time as rows and seals write it."""
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def runs(numbered: Iterable[tuple[str, int]]) -> list[Run]:
    """Ascending pairs of writer and number, gathered."""
    found: list[Run] = []
    for writer, group in groupby(numbered, key=lambda pair: pair[0]):
        for _, number in group:
            if found and found[-1][0] == writer and found[-1][2] + 1 == number:
                found[-1] = (writer, found[-1][1], number)
            else:
                found.append((writer, number, number))
    return found


def numbers(ranges: Iterable[Sequence[Any]]) -> Iterator[tuple[str, int]]:
    """The writer and number of each leaf, in their order."""
    for writer, first, last in ranges:
        for number in range(first, last + 1):
            yield writer, number


def described(
    number: int, epoch: int, sealed_at: datetime, leaves: Sequence[Leaf], *, gaps: Sequence[Run], total_before: int
) -> dict[str, Any]:
    """The fields of a seal but `prev` and `hash`; leaves ascend by writer and number."""
    return {
        "number": number, "epoch": epoch, "sealed_at": moment(sealed_at),
        "ranges": [list(run) for run in runs((leaf.writer, leaf.number) for leaf in leaves)],
        "gaps": [list(gap) for gap in gaps],
        "count": len(leaves), "total": total_before + len(leaves),
        "first_at": min((leaf.at for leaf in leaves if leaf.at), default=None),
        "last_at": max((leaf.at for leaf in leaves if leaf.at), default=None),
        "root": merkle.root([leaf.hash for leaf in leaves]).hex(),
    }  # fmt: skip


def plain_json(value: Any) -> bytes:
    """JSON as it is hashed and signed."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def link(fields: dict[str, Any]) -> bytes:
    """The digest of what `described` gives."""
    return sha256(plain_json(fields)).digest()


def chained(prev: bytes, linked: bytes) -> bytes:
    """The hash of the seal with that link after the seal with the hash `prev`."""
    return sha256(prev + linked).digest()
