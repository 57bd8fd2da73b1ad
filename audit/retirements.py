"""What stands in the place of a dropped month: a signed statement which rows are gone, and in which export they are.

Verifying takes no row for missing that a statement names, and a row that is there in spite of one for inserted. The
statement is signed, so that nobody who rules the database alone can excuse what they took out of it.
"""

from bisect import bisect_right
from collections.abc import Iterator
from typing import Any, NamedTuple

from audit.models import Retirement
from audit.seals import moment, plain_json
from audit.signing import Signer, is_signed, signer


def statement(one: Retirement) -> bytes:
    """What is signed."""
    return plain_json({
        "month": f"{one.month:%Y-%m}", "retired_at": moment(one.retired_at), "event": str(one.event),
        "export": one.export, "rows": one.rows, "sha256": one.sha256, "whole": one.whole, "parts": one.parts,
    })  # fmt: skip


def sign(one: Retirement, by: Signer | None = None) -> Retirement:
    """Put the signature on it."""
    one.signature = (by or signer()).sign(statement(one))
    return one


class Span(NamedTuple):
    """Places among the leaves of a seal, both ends included, and whether their rows are dropped."""

    first: int
    last: int
    gone: bool


class Gone:
    """All that good statements name."""

    def __init__(self, retirements: list[Retirement]) -> None:
        spans = sorted((first, last) for one in retirements for first, last in one.whole)
        self._firsts, self._lasts = [first for first, _ in spans], [last for _, last in spans]
        self._parts: dict[int, list[list[int]]] = {}
        for one in retirements:
            for number, places in one.parts:
                self._parts.setdefault(number, []).extend(places)

    def spans(self, seal: int, first: int, last: int) -> Iterator[Span]:
        """These places of a seal, cut where what is dropped begins and ends."""
        if self._is_whole(seal):
            yield Span(first, last, True)
            return
        for begin, end in sorted(self._parts.get(seal, ())):
            if end < first or begin > last:
                continue
            if begin > first:
                yield Span(first, begin - 1, False)
            yield Span(max(first, begin), min(last, end), True)
            first = end + 1
        if first <= last:
            yield Span(first, last, False)

    def _is_whole(self, seal: int) -> bool:
        at = bisect_right(self._firsts, seal) - 1
        return at >= 0 and seal <= self._lasts[at]


def standing() -> tuple[list[Retirement], list[Retirement]]:
    """Those with a good signature, and those without: nothing is excused by these."""
    good: list[Retirement] = []
    bad: list[Retirement] = []
    public = signer().public
    for one in Retirement.objects.all():
        (good if is_signed(statement(one), one.signature, public) else bad).append(one)
    return good, bad


def told(one: Retirement) -> dict[str, Any]:
    """As scripts read it."""
    return {"month": str(one), "event": str(one.event), "export": one.export, "rows": one.rows, "sha256": one.sha256}
