"""The months of the bodies: made ahead of time, and dropped whole when they are old enough."""

from datetime import datetime

from django.db import DEFAULT_DB_ALIAS, connections

from audit.partitions import make_months, month_in, partitions_of
from audit.retention import is_old
from inference.contract.bodies import ROWS, TABLE


def ensure(now: datetime, using: str = DEFAULT_DB_ALIAS) -> None:
    """Make those of this month and the next ones. `using` is the connection of the owner."""
    make_months(TABLE, ROWS, now, using)


def due(names: list[str], now: datetime, days: int) -> list[str]:
    """Those of the partitions in which nothing is younger than so many days."""
    return sorted(name for name in names if (month := month_in(name, TABLE)) and is_old(month, now, days))


def existing(using: str = DEFAULT_DB_ALIAS) -> list[str]:
    """Names of all partitions."""
    return partitions_of(ROWS, using)


def drop(names: list[str], using: str = DEFAULT_DB_ALIAS) -> None:
    """Drop them, as the owner."""
    with connections[using].cursor() as cursor:
        for name in names:
            cursor.execute(f'DROP TABLE "{name}"')
