"""Verifies the register: rows against seals, seals against each other, the chain against signed checkpoints.

Whatever is read may have been altered. What is trusted are the checkpoint file and the public key. The leaf hashes that
lie beside a seal count only where their root is the seal's; then they tell which row is another than it was.
"""

import re
from collections.abc import Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from itertools import groupby, islice
from multiprocessing import get_context
from operator import itemgetter
from pathlib import Path
from typing import Any, NamedTuple

from django.conf import settings
from django.db import connection, connections, transaction
from django.db.models import QuerySet

from audit import merkle, retirements
from audit.checkpoints import BadCheckpoint, opened
from audit.models import Retirement, Seal
from audit.reading import OF_WRITER, content, rows
from audit.sealer import LAST_NUMBER, without
from audit.seals import FIRST_PREV, chained, link, moment
from audit.signing import signer
from inference.contract.canonical import ORDER

CHUNK = 50_000
"""rows that one task reads"""
PROCESSES = 2
SOON_SEALED = timedelta(seconds=60)
_HASH = 32
_ID, _NUMBER = ORDER.index("id"), ORDER.index("writer_seq")


class What(StrEnum):
    """What is wrong."""

    CHANGED = "changed"
    MISSING = "missing"
    INSERTED = "inserted"
    SWAPPED = "swapped"
    CUT_TAIL = "cut tail"
    SEAL_EDITED = "seal edited"
    CHECKPOINT_EDITED = "checkpoint edited"
    RETIREMENT_EDITED = "retirement edited"


class Failure(NamedTuple):
    """Something that is not as it was; ascending as the register was written."""

    seal: int
    place: int
    """among the seal's leaves"""
    what: What
    writer: str = ""
    number: int = 0
    id: str = ""
    """of the row as it is now; empty where there is none"""
    detail: str = ""

    def __str__(self) -> str:
        row = f"writer {self.writer}, number {self.number}" + (f", id {self.id}" if self.id else "")
        words = [f"{self.what}:", f"seal {self.seal}", row if self.writer else "", self.detail]
        return ", ".join(filter(None, words)).replace(":,", ":")


@dataclass
class Report:
    """What was verified and what was found."""

    rows: int = 0
    seals: int = 0
    checkpoints: int = 0
    unsealed: int = 0
    failures: list[Failure] = field(default_factory=list)
    retired: list[Retirement] = field(default_factory=list)
    """months that were dropped; they stand in their exports"""

    @property
    def first(self) -> Failure | None:
        return min(self.failures, default=None)


def verify(now: datetime, *, since: datetime | None = None, processes: int = PROCESSES) -> Report:
    """All of the register, or what was written since. Uses as many connections as processes."""
    first = 1 if since is None else _first_since(since)
    report = Report()
    _verify_chain(report, first)
    _verify_checkpoints(report, first)
    _verify_retirements(report)
    chunks = list(_chunks(first))
    if processes > 1 and len(chunks) > 1:
        connections.close_all()  # a forked process must not share one
        with ProcessPoolExecutor(processes, get_context("fork")) as pool:
            results = list(pool.map(verify_rows, *zip(*chunks, strict=True)))
    else:
        results = [verify_rows(*chunk) for chunk in chunks]
    for count, failures in results:
        report.rows += count
        report.failures += failures
    _verify_nothing_else(report, now)
    report.failures.sort()
    return report


def verify_slice(first: int, last: int, now: datetime) -> Report:
    """These seals and their rows, all checkpoints, and at the register's end what no seal binds."""
    report = Report()
    _verify_chain(report, first, last)
    _verify_checkpoints(report, first, last)
    _verify_retirements(report)
    if first <= last:
        report.rows, failures = verify_rows(first, last)
        report.failures += failures
    if not Seal.objects.filter(number__gt=last).exists():
        _verify_nothing_else(report, now)
    report.failures.sort()
    return report


def _first_since(since: datetime) -> int:
    found = Seal.objects.filter(last_at__gte=since).order_by("number").values_list("number", flat=True).first()
    last = Seal.objects.values_list("number", flat=True).first()
    return found if found is not None else (last or 0) + 1


def _chunks(first: int) -> Iterator[tuple[int, int]]:
    """First and last numbers of seals that hold about `CHUNK` rows."""
    began, size, last = None, 0, 0
    for number, count in Seal.objects.filter(number__gte=first).order_by("number").values_list("number", "count"):
        began, size, last = began or number, size + count, number
        if size >= CHUNK:
            yield began, last
            began, size = None, 0
    if began is not None:
        yield began, last


# the chain


def fields_of(seal: Seal) -> dict[str, Any]:
    """A stored seal as it was hashed."""
    return {
        "number": seal.number, "epoch": seal.epoch, "sealed_at": moment(seal.sealed_at), "ranges": seal.ranges,
        "gaps": seal.gaps, "count": seal.count, "total": seal.total,
        "first_at": moment(seal.first_at) if seal.first_at else None,
        "last_at": moment(seal.last_at) if seal.last_at else None, "root": bytes(seal.root).hex(),
    }  # fmt: skip


def _verify_chain(report: Report, first: int, until: int = LAST_NUMBER) -> None:
    before = Seal.objects.filter(number=first - 1).first()
    number, prev, total = first, bytes(before.hash) if before else FIRST_PREV, before.total if before else 0
    for seal in _slim(Seal.objects.filter(number__range=(first, until))):
        report.seals += 1
        if seal.number != number:
            report.failures.append(
                Failure(number, -1, What.SEAL_EDITED, detail=f"seals {number} to {seal.number - 1} are missing")
            )
        elif wrong := _wrong(seal, prev, total):
            report.failures.append(Failure(seal.number, -1, What.SEAL_EDITED, detail=wrong))
        number, prev, total = seal.number + 1, bytes(seal.hash), seal.total


def _slim(seals: QuerySet[Seal]) -> Iterator[Seal]:
    return seals.order_by("number").defer("leaves").iterator(chunk_size=2000)


def _wrong(seal: Seal, prev: bytes, total: int) -> str:
    if bytes(seal.prev) != prev:
        return "it does not follow the one before as it is now"
    if bytes(seal.hash) != chained(prev, link(fields_of(seal))):
        return "its hash is not that of what it says"
    bound = sum(last - first + 1 for _, first, last in ranges_of(seal.ranges))
    return "" if bound == seal.count and seal.total == total + seal.count else "its counts do not add up"


def ranges_of(told: Any) -> list[tuple[str, int, int]]:
    """A seal's ranges; none where no sealer writes them so: whoever edits one must not end the verification."""
    if not isinstance(told, list) or not all(isinstance(one, list) and _is_range(*one) for one in told):
        return []
    return [(writer, first, last) for writer, first, last in told]


def _is_range(writer: Any = None, first: Any = None, last: Any = None, *more: Any) -> bool:
    are_numbers = type(first) is int and type(last) is int
    return not more and isinstance(writer, str) and are_numbers and 0 < first <= last < LAST_NUMBER


# checkpoints


def _verify_checkpoints(report: Report, first: int, until: int = LAST_NUMBER) -> None:
    last_seal = Seal.objects.only("number").first()
    newest = last_seal.number if last_seal else 0
    for place, line in enumerate(_lines(settings.CHECKPOINTS_FILE), 1):
        report.checkpoints += 1
        try:
            fields = opened(line, signer().public)
        except BadCheckpoint as exc:
            report.failures.append(Failure(0, place, What.CHECKPOINT_EDITED, detail=f"line {place}: {exc}"))
            continue
        number = fields["number"]
        if number > newest:
            report.failures.append(
                Failure(newest + 1, -1, What.CUT_TAIL, detail=f"a checkpoint signs seal {number}, the last is {newest}")
            )
        elif (
            first <= number <= until
            and not Seal.objects.filter(number=number, hash=bytes.fromhex(fields["hash"])).exists()
        ):
            detail = f"the checkpoint of {fields['signed_at']} signs another seal {number}"
            report.failures.append(Failure(number, -1, What.SEAL_EDITED, detail=detail))


def _lines(path: Path) -> list[str]:
    """But those that a power cut tore: nothing hangs on one of them, the next signs all that it signed."""
    try:
        text = path.read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        return []
    return [line for line in text.split("\n") if _ENDS(line)]


_ENDS = re.compile(r'"signed_at":"[^"]{27}"').search


# rows


class _Piece(NamedTuple):
    """A range of a seal: numbers of one writer and their leaf hashes."""

    writer: str
    first: int
    last: int
    seal: int
    place: int
    leaves: bytes


def verify_rows(first: int, last: int) -> tuple[int, list[Failure]]:
    """The rows that these seals bind: how many were read, and what is wrong."""
    found: list[Failure] = []
    pieces = list(_pieces(Seal.objects.filter(number__range=(first, last)).order_by("number"), found))
    pieces, dropped = _parted(pieces)
    count = 0
    with transaction.atomic():
        for run in _joined(pieces):
            read, failures = _compare(run)
            count += read
            found += failures
        for run in _joined(dropped):
            found += _back(run)
    return count, found


def _pieces(seals: Iterable[Seal], failures: list[Failure]) -> Iterator[_Piece]:
    for seal in seals:
        leaves = bytes(seal.leaves)
        hashes = [leaves[at : at + _HASH] for at in range(0, len(leaves), _HASH)]
        if merkle.root(hashes) != bytes(seal.root):
            failures.append(
                Failure(seal.number, -1, What.SEAL_EDITED, detail="its leaf hashes are not those of its root")
            )
            continue
        ranges, place = ranges_of(seal.ranges), 0
        if sum(last - first + 1 for _, first, last in ranges) != len(hashes):
            failures.append(Failure(seal.number, -1, What.SEAL_EDITED, detail="its ranges are not of its leaf hashes"))
            continue
        for writer, first, last in ranges:
            size = last - first + 1
            yield _Piece(writer, first, last, seal.number, place, leaves[place * _HASH : (place + size) * _HASH])
            place += size


def _joined(pieces: Iterable[_Piece]) -> Iterator[list[_Piece]]:
    """Pieces whose numbers follow each other, so that they are read in one go."""
    for _, group in groupby(sorted(pieces), key=itemgetter(0)):
        run: list[_Piece] = []
        for piece in group:
            if run and run[-1].last + 1 != piece.first:
                yield run
                run = []
            run.append(piece)
        yield run


def _compare(run: list[_Piece]) -> tuple[int, list[Failure]]:
    """Rows of a run of numbers against the hashes that were sealed."""
    writer, first, last = run[0].writer, run[0].first, run[-1].last
    comparing = _Comparing(run)
    read = rows(OF_WRITER, [writer, first, last, LAST_NUMBER])
    while some := list(islice(read, AT_ONCE)):
        comparing.take(some)
    return comparing.count, comparing.failures()


AT_ONCE = 500
"""rows that are compared in one go"""


class _Comparing:
    """A run of numbers while its rows come by, ascending."""

    def __init__(self, run: list[_Piece]) -> None:
        self.run, self.sealed = run, b"".join(piece.leaves for piece in run)
        self.first, self.last = run[0].first, run[-1].last
        self.expected, self.count = self.first, 0
        self.changed: dict[int, bytes] = {}
        self.found: list[Failure] = []

    def take(self, some: list[bytes]) -> None:
        leaves = [merkle.leaf(content(row)) for row in some]
        self.count += len(some)
        at = (self.expected - self.first) * _HASH
        if b"".join(leaves) == self.sealed[at : at + len(leaves) * _HASH]:
            self.expected += len(some)  # a row's number is among what was hashed: these are the very rows
            return
        for row, leaf in zip(some, leaves, strict=True):
            self._look_at(row, leaf)

    def _look_at(self, row: bytes, leaf: bytes) -> None:
        number = int(row.split(b"\t", _NUMBER + 1)[_NUMBER])
        self._miss(number)
        if number < self.expected:  # its number was there already
            self.found.append(_failure(self.run, number, What.INSERTED, row))
            return
        self.expected += 1
        at = (number - self.first) * _HASH
        if leaf != self.sealed[at : at + _HASH]:
            self.changed[number] = row

    def _miss(self, until: int) -> None:
        self.found += [_failure(self.run, number, What.MISSING) for number in range(self.expected, until)]
        self.expected = max(self.expected, until)

    def failures(self) -> list[Failure]:
        """All of them, once every row has come by."""
        self._miss(self.last + 1)
        return self.found + list(_told(self.run, self.sealed, self.changed))


def _told(run: list[_Piece], sealed: bytes, changed: dict[int, bytes]) -> Iterator[Failure]:
    """Rows that are another than they were; two that have each other's number were swapped."""
    first = run[0].first
    for number, row in changed.items():
        others = (other for other in changed if other != number) if len(changed) <= SWAPS_SOUGHT else ()
        fields = row.split(b"\t")
        home = next((other for other in others if _belongs(fields, sealed, other, other - first)), None)
        if home is None:
            yield _failure(run, number, What.CHANGED, row)
        else:
            yield _failure(run, number, What.SWAPPED, row, f"this row was number {home}")


SWAPS_SOUGHT = 200
"""among more changed rows than these it makes no difference how they were changed"""


def _belongs(fields: list[bytes], sealed: bytes, number: int, place: int) -> bool:
    """Whether the row would be the one that was sealed there, had it that number."""
    moved = [*fields[:_NUMBER], str(number).encode(), *fields[_NUMBER + 1 :]]
    return merkle.leaf(content(b"\t".join(moved))) == sealed[place * _HASH : (place + 1) * _HASH]


def _failure(run: list[_Piece], number: int, what: What, row: bytes = b"", detail: str = "") -> Failure:
    piece = next(piece for piece in run if piece.first <= number <= piece.last)
    identity = row.split(b"\t", _ID + 1)[_ID].decode() if row else ""
    return Failure(piece.seal, piece.place + number - piece.first, what, piece.writer, number, identity, detail)


# months that were dropped


def _parted(pieces: list[_Piece]) -> tuple[list[_Piece], list[_Piece]]:
    """Those whose rows have to be there, and those whose rows were dropped with their month."""
    good, _ = retirements.standing()
    if not good:
        return pieces, []
    gone = retirements.Gone(good)
    parted: tuple[list[_Piece], list[_Piece]] = ([], [])
    for piece in pieces:
        for span in gone.spans(piece.seal, piece.place, piece.place + piece.last - piece.first):
            begin, end = span.first - piece.place, span.last - piece.place
            part = piece._replace(
                first=piece.first + begin, last=piece.first + end, place=span.first,
                leaves=piece.leaves[begin * _HASH : (end + 1) * _HASH],
            )  # fmt: skip
            parted[span.gone].append(part)
    return parted


def _back(run: list[_Piece]) -> Iterator[Failure]:
    """Rows that are there though their month was dropped."""
    for row in rows(OF_WRITER, [run[0].writer, run[0].first, run[-1].last, 100]):
        yield _failure(run, int(row.split(b"\t", _NUMBER + 1)[_NUMBER]), What.INSERTED, row, "its month was dropped")


def _verify_retirements(report: Report) -> None:
    good, bad = retirements.standing()
    report.retired = good
    for one in bad:
        detail = f"the statement that {one} was dropped is not signed"
        report.failures.append(Failure(0, -1, What.RETIREMENT_EDITED, detail=detail))  # nothing that it says is known


# rows that no seal binds

_UNNUMBERED = "WHERE writer_seq <= 0 ORDER BY at LIMIT 100"
_STRANGE = "WHERE writer = %s AND writer_seq > 0 AND writer_seq BETWEEN %s AND %s ORDER BY writer_seq LIMIT 100"
_NAMES = """
WITH RECURSIVE names AS (
    (SELECT writer FROM audit_event WHERE writer_seq > 0 ORDER BY writer LIMIT 1)
    UNION ALL
    SELECT (SELECT e.writer FROM audit_event e WHERE e.writer > n.writer AND e.writer_seq > 0 ORDER BY e.writer LIMIT 1)
    FROM names n WHERE n.writer IS NOT NULL
) SELECT writer FROM names WHERE writer IS NOT NULL
"""


def _verify_nothing_else(report: Report, now: datetime) -> None:
    """Every row is one that a seal binds, or one that the sealer has not come to.

    That is what follows its writer's bound rows without a gap, however old: it may have waited in a spool, or for a
    worker that was away. What does not follow has to be of the last seconds.
    """
    bound: dict[str, list[tuple[int, int]]] = {}
    for (ranges,) in Seal.objects.order_by("number").values_list("ranges").iterator(chunk_size=2000):
        for writer, first, last in ranges_of(ranges):
            spans = bound.setdefault(writer, [])
            if spans and spans[-1][1] + 1 == first:
                spans[-1] = (spans[-1][0], last)
            else:
                spans.append((first, last))
    last_seal = (Seal.objects.values_list("number", flat=True).first() or 0) + 1
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute(_NAMES)
            names = [name for (name,) in cursor.fetchall()]
        for row in rows(_UNNUMBERED, []):
            _unbound(report, row, last_seal, now)
        for name in names:
            for first, last in _between(sorted(bound.get(name, []))):
                follows = first if last == LAST_NUMBER else 0
                for row in rows(_STRANGE, [name, first, last]):
                    if int(row.split(b"\t")[_NUMBER]) == follows:  # the sealer has not come to it
                        report.unsealed += 1
                        follows += 1
                    else:
                        _unbound(report, row, last_seal, now)


def _between(spans: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """What no span covers, from 1 on."""
    left, begin = [], 1
    for first, last in spans:
        left += without((begin, first - 1), [])
        begin = max(begin, last + 1)
    return [*left, (begin, LAST_NUMBER)]


_WRITER, _AT = ORDER.index("writer"), ORDER.index("at")


def _unbound(report: Report, row: bytes, seal: int, now: datetime) -> None:
    report.unsealed += 1
    fields = row.split(b"\t")
    number = int(fields[_NUMBER])
    try:
        is_new = now - datetime.fromisoformat(fields[_AT].decode()) < SOON_SEALED
    except ValueError:
        is_new = False
    if number <= 0 or not is_new:
        report.failures.append(
            Failure(seal, -1, What.INSERTED, fields[_WRITER].decode(), number, fields[_ID].decode(), "no seal binds it")
        )
