"""What an export's manifest says of seals: which bind its rows, proofs of that, and the checkpoints that sign them."""

import json
import re
from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from datetime import datetime
from typing import Any

from django.db.models import Max, Min, QuerySet

from audit import merkle
from audit.models import Checkpoint, Seal
from audit.seals import link
from audit.verifying import fields_of

_NUMBERED = re.compile(rb'"writer":"((?:[^"\\]|\\.)*)","writer_seq":(\d+).*?"at":"([^"]*)"').search
_HASH = 32


class Proofs:
    """Is told each exported row once, then gives the manifest's `seals` and, once they were read, `checkpoints`."""

    def __init__(self) -> None:
        self._numbers: dict[str, array[int]] = {}
        self._first, self._last = "", ""
        self._rows = self._bound = 0
        self.checkpoints: list[dict[str, Any]] = []

    def add(self, line: bytes) -> bytes:
        """An exported row as its canonical bytes; answers its leaf hash."""
        found = _NUMBERED(line)
        self._rows += 1
        if found is not None:
            writer = found[1].decode() if b"\\" not in found[1] else json.loads(b'"' + found[1] + b'"')
            self._numbers.setdefault(writer, array("q")).append(int(found[2]))
            at = found[3].decode()
            self._first, self._last = min(self._first or at, at), max(self._last, at)
        return merkle.leaf(line)

    @property
    def unsealed(self) -> int:
        """Rows that no seal binds; known once `seals` has been read."""
        return self._rows - self._bound

    def seals(self) -> Iterator[dict[str, Any]]:
        """Full ones and bridges, ascending. Sign a checkpoint before, so that it leads somewhere."""
        for writer, numbers in self._numbers.items():
            self._numbers[writer] = array("q", sorted(numbers))
        signed = dict(Checkpoint.objects.order_by("number").values_list("number", "line"))
        is_open = False
        for seal in self._candidates():
            places = list(self._places(seal))
            if places:
                self._bound += len(places)
                is_open = True
                yield _full(seal, places)
            elif is_open:
                yield {"number": seal.number, "link": link(fields_of(seal)).hex()}
            if is_open and seal.number in signed:
                self.checkpoints.append(json.loads(signed[seal.number]))
                is_open = False

    def _candidates(self) -> Iterator[Seal]:
        if not self._first:
            return iter(())
        since, until = datetime.fromisoformat(self._first), datetime.fromisoformat(self._last)
        overlapping = Seal.objects.filter(last_at__gte=since, first_at__lte=until)
        ends = overlapping.aggregate(first=Min("number"), last=Max("number"))
        if ends["first"] is None:
            return iter(())
        signing = Checkpoint.objects.filter(number__gte=ends["last"]).aggregate(it=Min("number"))["it"]
        seals: QuerySet[Seal] = Seal.objects.filter(number__range=(ends["first"], signing or ends["last"]))
        return seals.order_by("number").iterator(chunk_size=50)

    def _places(self, seal: Seal) -> Iterator[int]:
        before = 0
        for writer, first, last in seal.ranges:
            if (numbers := self._numbers.get(writer)) is not None:
                for at in range(bisect_left(numbers, first), bisect_right(numbers, last)):
                    yield before + numbers[at] - first
            before += last - first + 1


def _full(seal: Seal, places: list[int]) -> dict[str, Any]:
    leaves = bytes(seal.leaves)
    hashes = [leaves[at : at + _HASH] for at in range(0, len(leaves), _HASH)]
    return fields_of(seal) | {
        "prev": bytes(seal.prev).hex(), "hash": bytes(seal.hash).hex(), "leaves": _runs(places),
        "proof": [each.hex() for each in merkle.prove(hashes, places)],
    }  # fmt: skip


def _runs(places: list[int]) -> list[list[int]]:
    found: list[list[int]] = []
    for place in places:
        if found and found[-1][1] + 1 == place:
            found[-1][1] = place
        else:
            found.append([place, place])
    return found
