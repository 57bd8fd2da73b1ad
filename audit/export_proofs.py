"""What proves the rows of an export: seals that bind them, what leads from each to a signed checkpoint, and those.

The format stands in docs/register.md. Both are read while they are written down, because years have millions of seals.
"""

import json
import re
from array import array
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import islice, takewhile
from typing import Any

from django.db.models import Max, Min, QuerySet
from isal import igzip
from pyroaring import BitMap64

from audit.export_files import Files
from audit.finding import Selection
from audit.merkle import prove
from audit.models import Checkpoint, Seal
from audit.seals import Run, link
from audit.verifying import fields_of, ranges_of

HASH_BYTES = 32
SEALS_AT_ONCE = 200
LEAVES_AT_ONCE = 10
"""seals whose leaf hashes are in memory: 32 bytes for each row of each"""
LINES_AT_ONCE = 500
Numbers = Mapping[str, BitMap64]
"""writer -> its numbers in an export: a fraction of a byte for each, two where they are scattered"""
NONE = BitMap64()
Still = Callable[[], object]


def numbers_of(files: Files) -> Numbers:
    """Which rows are in the export."""
    found: dict[str, BitMap64] = defaultdict(BitMap64)
    if files.numbers.stat().st_size:
        with igzip.open(files.numbers, "rt", encoding="utf-8", newline="\n") as lines:
            for one in lines:
                writer, first, *last = one.rstrip("\n").split("\t")
                found[writer].add_range(int(first), int(last[0] if last else first) + 1)
    return {_ESCAPED.sub(_unescaped, writer): numbers for writer, numbers in found.items()}


_ESCAPED = re.compile(r"\\(.)")
_CONTROLS = {"b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v"}


def _unescaped(found: re.Match[str]) -> str:
    """As COPY wrote it."""
    return _CONTROLS.get(found[1], found[1])


class Proofs:
    """Of the rows with these numbers. First all of `seals`, then what they led to is in `sealed` and `checkpoints`."""

    def __init__(self, numbers: Numbers, selection: Selection, still: Still = lambda: None) -> None:
        """`still` is called with each portion of seals, also of those that bind no row of the export."""
        self.sealed = 0
        """rows that the seals prove"""
        self._numbers, self._selection, self._still = numbers, selection, still
        self._ends = array("q", Checkpoint.objects.order_by("number").values_list("number", flat=True))
        self._signed = array("q")

    def seals(self) -> Iterator[dict[str, Any]]:
        """Full seals of the rows, and from each the bridges to the next checkpoint."""
        leads = False
        for seal, places, leaves in self._bound():
            if places:
                self.sealed += len(places)
                yield _full(seal, places, leaves)
            elif leads:
                yield {"number": seal.number, "link": link(fields_of(seal)).hex()}
            leads = leads or bool(places)
            if leads and self._end(seal.number) == seal.number:
                self._signed.append(seal.number)
                leads = False

    def checkpoints(self) -> Iterator[dict[str, Any]]:
        """Those that the seals lead to."""
        signed = iter(self._signed)
        while some := list(islice(signed, LINES_AT_ONCE)):
            lines = Checkpoint.objects.filter(number__in=some).order_by("number").values_list("line", flat=True)
            yield from map(json.loads, lines)

    def _end(self, number: int) -> int:
        """The checkpoint that signs the seal; there is one."""
        return self._ends[bisect_left(self._ends, number)]

    def _bound(self) -> Iterator[tuple[Seal, list[int], bytes]]:
        """Seals, the places of their rows that are in the export, and the leaf hashes where only some of them are.

        One that was edited into nonsense proves nothing, and keeps nobody from what is exported.
        """
        for seals in self._in_question():
            ranges = [ranges_of(seal.ranges) for seal in seals]
            held = [self._held(seal, its) for seal, its in zip(seals, ranges, strict=True)]
            leaves = _leaves([seal.number for seal, count in zip(seals, held, strict=True) if 0 < count < seal.count])
            for seal, its, count in zip(seals, ranges, held, strict=True):
                hashes = next(leaves) if 0 < count < seal.count else b""
                holds = count == seal.count or len(hashes) == seal.count * HASH_BYTES
                yield seal, places_in(its, self._numbers) if count and holds else [], hashes

    def _held(self, seal: Seal, ranges: Sequence[Run]) -> int:
        """How many of its rows are in the export."""
        if sum(last - first + 1 for _, first, last in ranges) != seal.count:
            return 0
        spans = ((self._numbers.get(writer, NONE), first, last) for writer, first, last in ranges)
        return sum(numbers.rank(last) - numbers.rank(first - 1) for numbers, first, last in spans)

    def _in_question(self) -> Iterator[list[Seal]]:
        """From the first that may bind a row to the checkpoint behind the last; without their leaf hashes."""
        signed = Seal.objects.filter(number__lte=self._ends[-1]) if self._ends else Seal.objects.none()
        ends = _within(self._selection, signed).aggregate(first=Min("number"), last=Max("number"))
        if ends["first"] is None:
            return
        after, last = ends["first"] - 1, self._end(ends["last"])
        seals = Seal.objects.filter(number__lte=last).defer("leaves").order_by("number")
        while some := list(seals.filter(number__gt=after)[:SEALS_AT_ONCE]):
            self._still()
            yield some
            after = some[-1].number


def _within(selection: Selection, seals: QuerySet[Seal]) -> QuerySet[Seal]:
    """Seals that may bind rows of the selection."""
    if selection.since:
        seals = seals.filter(last_at__gte=selection.since)
    return seals.filter(first_at__lt=selection.until) if selection.until else seals


def _leaves(numbers: Sequence[int]) -> Iterator[bytes]:
    """Of these seals, ascending."""
    for begin in range(0, len(numbers), LEAVES_AT_ONCE):
        some = Seal.objects.filter(number__in=numbers[begin : begin + LEAVES_AT_ONCE]).order_by("number")
        yield from map(bytes, some.values_list("leaves", flat=True))


def places_in(ranges: Iterable[Run], numbers: Numbers) -> list[int]:
    """Which leaves of a seal are in the export, ascending."""
    places: list[int] = []
    begin = 0
    for writer, first, last in ranges:
        held = takewhile(last.__ge__, numbers.get(writer, NONE).iter_equal_or_larger(first))
        places += [begin + number - first for number in held]
        begin += last - first + 1
    return places


def _full(seal: Seal, places: list[int], leaves: bytes) -> dict[str, Any]:
    """Without leaf hashes there is nothing to prove with: all of the seal's rows are in the export."""
    hashes = [leaves[place : place + HASH_BYTES] for place in range(0, len(leaves), HASH_BYTES)]
    proof = prove(hashes, places) if hashes else []
    ends = {"prev": bytes(seal.prev).hex(), "hash": bytes(seal.hash).hex()}
    return fields_of(seal) | ends | {"leaves": gathered(places), "proof": [it.hex() for it in proof]}


def gathered(places: Iterable[int]) -> list[list[int]]:
    """``[[first, last], …]``."""
    found: list[list[int]] = []
    for place in places:
        if found and found[-1][1] + 1 == place:
            found[-1][1] = place
        else:
            found.append([place, place])
    return found
