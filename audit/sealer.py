"""Seals what was committed. One sealer at a time has the lease; PostgreSQL takes no seal of an epoch that is over."""

import logging
from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from django.db import DatabaseError, connection, transaction
from django.utils import timezone

from audit.models import Seal, SealerLease, Writer
from audit.operations import Operation
from audit.reading import leaves_of
from audit.record import Actor, Target, record
from audit.seals import FIRST_PREV, Leaf, Run, chained, described, link

logger = logging.getLogger(__name__)

LEASE_SECONDS = 10
MOST = 20_000
"""rows that one seal binds; what is more waits for the next, which comes at once"""
PATIENCE = timedelta(seconds=60)
"""how long a missing number is waited for"""
AWAKE = "1 day"
"""writers that were silent for longer are looked at by `sweep` only"""
LAST_NUMBER = 2**63 - 1
EPOCH_IS_OVER, DOES_NOT_FOLLOW = "SB001", "SB002"
SEALER = Actor(type="system", id="sealer", name="sealer", source="worker")


class Deposed(Exception):
    """Another sealer has taken over."""


def take_lease(holder: str) -> int | None:
    """The epoch under which `holder` may seal for `LEASE_SECONDS`; None while another one may."""
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO audit_sealer (id, epoch, holder, until, trouble) VALUES (1, 0, '', now(), '')"
            " ON CONFLICT DO NOTHING"
        )
        cursor.execute(
            "UPDATE audit_sealer SET epoch = epoch + (holder <> %s)::int, holder = %s,"
            " until = clock_timestamp() + make_interval(secs => %s)"
            " WHERE id = 1 AND (holder = %s OR until < clock_timestamp()) RETURNING epoch",
            [holder, holder, LEASE_SECONDS, holder],
        )
        found = cursor.fetchone()
    return found[0] if found else None


def give_lease_back(epoch: int) -> None:
    """Another one need not wait until it ends."""
    SealerLease.objects.filter(pk=1, epoch=epoch).update(holder="", until=timezone.now())


class _Found(NamedTuple):
    """What there is of one writer beyond what is sealed."""

    writer: Writer
    leaves: list[Leaf]
    gaps: list[Run]
    """given up with this seal"""


def seal_next(epoch: int, *, sweep: bool = False, most: int = MOST) -> Seal | None:
    """Bind what was committed since the last seal; None when nothing was. Raises `Deposed`.

    All of it is one transaction: a sealer that dies leaves nothing, one that is frozen in it is disconnected.
    """
    try:
        with transaction.atomic():
            _be_quick()
            if sweep:
                _find_strangers()
            found = _find(most, timezone.now(), sweep=sweep)
            return _bind(epoch, found) if any(one.leaves or one.gaps for one in found) else None
    except DatabaseError as exc:
        if getattr(exc.__cause__, "sqlstate", "") in {EPOCH_IS_OVER, DOES_NOT_FOLLOW}:
            raise Deposed(str(exc).partition("\n")[0]) from exc
        raise


def _be_quick() -> None:
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL idle_in_transaction_session_timeout = '5s'")


_AWAITED = f"""
SELECT w.name FROM audit_writer w WHERE (%s OR w.last_seen > now() - interval '{AWAKE}') AND (
    EXISTS (SELECT FROM jsonb_array_elements(w.missing) AS one WHERE NOT (one -> 3)::boolean OR %s)
    OR (SELECT e.writer_seq FROM audit_event e WHERE e.writer = w.name AND e.writer_seq > w.sealed AND e.writer_seq > 0
        ORDER BY e.writer_seq LIMIT 1) IS NOT NULL)
"""  # nosec B608  # noqa: S608 - a constant


def _find(most: int, now: datetime, *, sweep: bool) -> list[_Found]:
    with connection.cursor() as cursor:
        cursor.execute(_AWAITED, [sweep, sweep])
        names = sorted(name for (name,) in cursor.fetchall())
    writers = Writer.objects.in_bulk(names)
    found: list[_Found] = []
    for name in names:
        if most <= 0:
            break
        found.append(_look_at(writers[name], most, now))
        most -= len(found[-1].leaves)
    return found


def _look_at(writer: Writer, most: int, now: datetime) -> _Found:
    """Rows of numbers that were missing, then what is new; `writer` is moved on."""
    leaves: list[Leaf] = []
    for first, last, *_ in writer.missing:
        leaves += leaves_of(writer.name, first, last, most)
    leaves += leaves_of(writer.name, writer.sealed + 1, LAST_NUMBER, most - len(leaves))
    leaves = _each_once(leaves)
    gaps = _move_on(writer, [leaf.number for leaf in leaves], now)
    return _Found(writer, leaves, gaps)


def _each_once(leaves: list[Leaf]) -> list[Leaf]:
    """Ascending. A number that is there twice is bound once; verifying names the other."""
    by_number: dict[int, Leaf] = {}
    for leaf in leaves:
        if by_number.setdefault(leaf.number, leaf) is not leaf:
            logger.error("register: %s has its number %d twice", leaf.writer, leaf.number)
    return [by_number[number] for number in sorted(by_number)]


def _move_on(writer: Writer, numbers: list[int], now: datetime) -> list[Run]:
    """Note what is sealed and missing now; answers what is given up."""
    left = [[*part, since, given_up] for first, last, since, given_up in writer.missing
            for part in without((first, last), numbers)]  # fmt: skip
    if numbers and numbers[-1] > writer.sealed:
        holes = without((writer.sealed + 1, numbers[-1]), numbers)
        left += [[*hole, now.isoformat(), False] for hole in holes]
        writer.sealed = numbers[-1]
    gaps: list[Run] = []
    for one in left:
        if not one[3] and now - datetime.fromisoformat(one[2]) >= PATIENCE:
            one[3] = True
            gaps.append((writer.name, one[0], one[1]))
    writer.missing = left
    if numbers:
        writer.last_seen = now
    return gaps


def without(span: tuple[int, int], numbers: Iterable[int]) -> list[tuple[int, int]]:
    """What is left of a span of numbers, both ends included, without some ascending ones. Pure."""
    first, last = span
    left = []
    for number in numbers:
        if first <= number <= last:
            if number > first:
                left.append((first, number - 1))
            first = number + 1
    return [*left, (first, last)] if first <= last else left


def _bind(epoch: int, found: list[_Found]) -> Seal:
    before = Seal.objects.only("number", "sealed_at", "total", "hash").first()
    number, prev, total = (before.number + 1, bytes(before.hash), before.total) if before else (1, FIRST_PREV, 0)
    now = max(timezone.now(), before.sealed_at) if before else timezone.now()  # a clock may step back, seals do not
    leaves = [leaf for one in found for leaf in one.leaves]
    gaps = sorted(gap for one in found for gap in one.gaps)
    fields = described(number, epoch, now, leaves, gaps=gaps, total_before=total)
    seal = Seal(
        **{name: fields[name] for name in ("number", "epoch", "ranges", "gaps", "count", "total")}, sealed_at=now,
        first_at=_time(fields["first_at"]), last_at=_time(fields["last_at"]), root=bytes.fromhex(fields["root"]),
        prev=prev, hash=chained(prev, link(fields)), leaves=b"".join(leaf.hash for leaf in leaves),
    )  # fmt: skip
    for writer, first, last in gaps:
        _tell(writer, first, last)
    Writer.objects.bulk_update((one.writer for one in found), ["sealed", "missing", "last_seen"])
    seal.save(force_insert=True)  # last: from here to the commit it holds the lease's row
    return seal


def _time(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text else None


def _tell(writer: str, first: int, last: int) -> None:
    record(
        Operation.REGISTER_GAP_FOUND, actor=SEALER, target=Target("writer", writer, writer), kind="security",
        status="missing", detail={"first": first, "last": last},
        reason="These numbers were given and their entries never came, or were taken out before they were sealed.",
    )  # fmt: skip


# By leaps from name to name: the register is not read for it.
_STRANGERS = """
INSERT INTO audit_writer (name, first_seen, last_seen, sealed, missing)
WITH RECURSIVE names AS (
    (SELECT writer FROM audit_event WHERE writer_seq > 0 ORDER BY writer LIMIT 1)
    UNION ALL
    SELECT (SELECT e.writer FROM audit_event e WHERE e.writer > n.writer AND e.writer_seq > 0 ORDER BY e.writer LIMIT 1)
    FROM names n WHERE n.writer IS NOT NULL
)
SELECT writer, now(), now(), 0, '[]'::jsonb FROM names WHERE writer IS NOT NULL
ON CONFLICT DO NOTHING
"""


def _find_strangers() -> None:
    """Writers whose first row never came: PostgreSQL adds a writer with its number 1."""
    with connection.cursor() as cursor:
        cursor.execute(_STRANGERS)


_LAG = """
SELECT extract(epoch FROM clock_timestamp() - min(oldest.at)) FROM audit_writer w CROSS JOIN LATERAL (
    SELECT e.at FROM audit_event e WHERE e.writer = w.name AND e.writer_seq > w.sealed AND e.writer_seq > 0
    ORDER BY e.writer_seq LIMIT 1
) AS oldest
"""


def lag_seconds() -> float:
    """How old the oldest entry is that no seal binds; 0 when all are bound."""
    with connection.cursor() as cursor:
        cursor.execute(_LAG)
        (seconds,) = cursor.fetchone()
    return max(0.0, float(seconds or 0))


def missing() -> list[dict[str, Any]]:
    """Numbers that no entry came for, as people read them."""
    return [
        {"writer": writer.name, "first": first, "last": last, "since": since, "given_up": given_up}
        for writer in Writer.objects.exclude(missing=[]).order_by("name")
        for first, last, since, given_up in writer.missing
    ]
