"""Writing samples: a scrape is one COPY. Counters are kept without their resets: any two samples tell the growth."""

import hashlib
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import NamedTuple

from django.db import connection, transaction

from audit.copying import copying
from monitoring.scrape import Answer
from monitoring.targets import Target
from monitoring.vocabulary import Reading

KNOWN_SECONDS = 120.0
"""a counter that appears at a target that was scraped so lately stood at 0 then"""
_LOCK = 0x5B0C_0002  # any number that no other advisory lock of ours has

_FIND = "SELECT key, id, raw, base, last_at FROM monitoring_series WHERE key = ANY(%s)"
_ADD = """
INSERT INTO monitoring_series
    (key, metric, target, deployment, replica, project, route, part, bounds, raw, base, last_at)
SELECT key, metric, target, deployment, replica, project, route, part, bounds::float8[], '{}', '{}', %s
FROM unnest(%s::text[], %s::text[], %s::text[], %s::text[], %s::text[], %s::text[], %s::text[], %s::text[], %s::text[])
    AS new (key, metric, target, deployment, replica, project, route, part, bounds)
RETURNING key, id
"""
_MOVE = """
UPDATE monitoring_series AS series SET raw = new.raw::float8[], base = new.base::float8[], last_at = %s
FROM unnest(%s::bigint[], %s::text[], %s::text[]) AS new (id, raw, base) WHERE series.id = new.id
"""
_SEEN = "SELECT target, max(last_at) FROM monitoring_series WHERE target = ANY(%s) GROUP BY target"
_COPY = 'COPY monitoring_sample (series, at, "values") FROM STDIN'


class Known(NamedTuple):
    """A series as it stands."""

    id: int
    raw: Sequence[float]
    base: Sequence[float]
    last_at: datetime | None


class Step(NamedTuple):
    """What becomes of a series by one reading: the sample to keep, and how the series stands then."""

    values: tuple[float, ...]
    base: tuple[float, ...]


def step(known: Known, reading: Reading) -> Step:
    """A counter that stands lower than before began anew; what it had reached is kept in `base`. Pure."""
    base = tuple(known.base) or (0.0,) * len(reading.values)
    if not reading.counts_up:
        return Step(reading.values, base)
    judged = slice(1 if reading.bounds else 0, None)  # the sum of a histogram may fall
    if any(now < before for now, before in zip(reading.values[judged], known.raw[judged], strict=False)):
        base = tuple(reached + before for reached, before in zip(base, known.raw, strict=True))
    return Step(tuple(reached + now for reached, now in zip(base, reading.values, strict=True)), base)


@transaction.atomic
def write(answers: Iterable[Answer], at: datetime) -> int:
    """Keep what was told at that time; answers the number of samples. One that is older than its series is left."""
    told = {_key(answer.target, it): (answer.target, it) for answer in answers for it in answer.readings}
    if not told:
        return 0
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s)", [_LOCK])
        cursor.execute(_SEEN, [sorted({target.name for target, _reading in told.values()})])
        seen: dict[str, datetime] = dict(cursor.fetchall())
        cursor.execute(_FIND, [list(told)])
        known = {row[0]: Known(*row[1:]) for row in cursor.fetchall()}
        new = [key for key in told if key not in known]
        known |= _add(cursor, {key: told[key] for key in new}, at)
        rows, moved = [], []
        for key, (target, reading) in told.items():
            series = known[key]
            if series.last_at is not None and series.last_at >= at:
                continue
            done = step(series, reading)
            if series.last_at is None and reading.counts_up and _was_zero(seen.get(target.name), at):
                rows.append((series.id, seen[target.name], [0.0] * len(reading.values)))
            rows.append((series.id, at, list(done.values)))
            moved.append((series.id, _array(reading.values), _array(done.base)))
        cursor.execute(_MOVE, [at, *map(list, zip(*moved, strict=True))] if moved else [at, [], [], []])
    with copying(connection, _COPY) as stream:
        for row in rows:
            stream.write_row(row)
    return len(rows)


def _was_zero(seen: datetime | None, at: datetime) -> bool:
    """Labels appear with their first event: their series was there before, only unsaid."""
    return seen is not None and timedelta(0) < at - seen <= timedelta(seconds=KNOWN_SECONDS)


def _add(cursor: object, new: dict[str, tuple[Target, Reading]], at: datetime) -> dict[str, Known]:
    if not new:
        return {}
    columns = zip(
        *(
            (key, it.metric, target.name, target.deployment or it.deployment, target.replica, it.project, it.route,
             it.part, _array(it.bounds))
            for key, (target, it) in new.items()
        ),
        strict=True,
    )  # fmt: skip
    cursor.execute(_ADD, [at, *map(list, columns)])  # type: ignore[attr-defined]
    return {key: Known(pk, (), (), None) for key, pk in cursor.fetchall()}  # type: ignore[attr-defined]


def _key(target: Target, reading: Reading) -> str:
    parts = (
        reading.metric, target.name, target.deployment or reading.deployment, target.replica, reading.project,
        reading.route, reading.part, _array(reading.bounds),
    )  # fmt: skip
    return hashlib.sha256("\0".join(parts).encode("utf-8", "replace")).hexdigest()


def _array(values: Sequence[float]) -> str:
    return "{" + ",".join(map(repr, map(float, values))) + "}"
