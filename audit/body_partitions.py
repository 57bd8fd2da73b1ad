"""The months of the bodies: made ahead of time, and dropped whole when they are old enough."""

from datetime import date, datetime, timedelta

from django.db import DEFAULT_DB_ALIAS, connections

from audit.partitions import make_months, month_after
from inference.contract.bodies import ROWS, TABLE

_MONTHS = """
SELECT child.relname FROM pg_inherits
JOIN pg_class child ON child.oid = inhrelid JOIN pg_class parent ON parent.oid = inhparent
WHERE parent.relname = %s
"""


def ensure(now: datetime, using: str = DEFAULT_DB_ALIAS) -> None:
    """Make those of this month and the next ones. `using` is the connection of the owner."""
    make_months(TABLE, ROWS, now, using)


def due(names: list[str], now: datetime, days: int) -> list[str]:
    """Those of the partitions in which nothing is younger than so many days."""
    oldest_kept = (now - timedelta(days=days)).date()
    return sorted(name for name in names if (month := _month_of(name)) and month_after(month) <= oldest_kept)


def _month_of(name: str) -> date | None:
    """Its first day."""
    year, _, month = name.removeprefix(f"{TABLE}_").partition("_")
    return date(int(year), int(month), 1) if year.isdigit() and month.isdigit() else None


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
