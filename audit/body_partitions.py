"""The months of the bodies: made ahead of time, and dropped whole when they are old enough."""

from datetime import date, datetime, timedelta
from typing import NamedTuple

from django.db import DEFAULT_DB_ALIAS, connections

from inference.contract.bodies import ROWS, TABLE

MONTHS_AHEAD = 3
_MONTHS = """
SELECT child.relname FROM pg_inherits
JOIN pg_class child ON child.oid = inhrelid JOIN pg_class parent ON parent.oid = inhparent
WHERE parent.relname = %s
"""


class Month(NamedTuple):
    year: int
    month: int

    @classmethod
    def of(cls, moment: datetime) -> "Month":
        return cls(moment.year, moment.month)

    @property
    def first(self) -> date:
        return date(self.year, self.month, 1)

    @property
    def following(self) -> "Month":
        return Month(self.year + self.month // 12, self.month % 12 + 1)

    @property
    def table(self) -> str:
        return f"{TABLE}_{self.year}_{self.month:02}"


def ensure(now: datetime, using: str = DEFAULT_DB_ALIAS) -> None:
    """Make this month's partition and those of the next `MONTHS_AHEAD`. `using` is the connection of the owner."""
    month = Month.of(now)
    with connections[using].cursor() as cursor:
        for _ in range(MONTHS_AHEAD + 1):
            cursor.execute(
                f"CREATE TABLE IF NOT EXISTS {month.table} PARTITION OF {ROWS} "
                f"FOR VALUES FROM ('{month.first} 00:00+00') TO ('{month.following.first} 00:00+00')"
            )
            month = month.following


def due(names: list[str], now: datetime, days: int) -> list[str]:
    """Those of the partitions in which nothing is younger than so many days."""
    oldest_kept = (now - timedelta(days=days)).date()
    return sorted(name for name in names if (month := _month_of(name)) and month.following.first <= oldest_kept)


def _month_of(name: str) -> Month | None:
    year, _, month = name.removeprefix(f"{TABLE}_").partition("_")
    return Month(int(year), int(month)) if year.isdigit() and month.isdigit() else None


def existing(using: str = DEFAULT_DB_ALIAS) -> list[str]:
    """Names of all partitions."""
    with connections[using].cursor() as cursor:
        cursor.execute(_MONTHS, [ROWS])
        return [name for (name,) in cursor.fetchall()]


def drop(names: list[str], using: str = DEFAULT_DB_ALIAS) -> None:
    """Drop them, as the owner."""
    with connections[using].cursor() as cursor:
        for name in names:
            cursor.execute(f'DROP TABLE "{name}"')
