"""The register's monthly partitions, made ahead of time. A default partition catches what falls outside them."""

from datetime import date, datetime

from django.db import DEFAULT_DB_ALIAS, connections

from inference.contract.events import ROWS, TABLE

MONTHS_AHEAD = 3


def month_after(month: date) -> date:
    return date(month.year + month.month // 12, month.month % 12 + 1, 1)


def ensure_partitions(now: datetime, using: str = DEFAULT_DB_ALIAS) -> list[str]:
    """Make the partitions of this month and the next `MONTHS_AHEAD`; answers the names of all of them.

    `using` is the connection of the table's owner.
    """
    first, names = date(now.year, now.month, 1), []
    with connections[using].cursor() as cursor:
        for _ in range(MONTHS_AHEAD + 1):
            following = month_after(first)
            name = f"{TABLE}_{first:%Y_%m}"
            cursor.execute(
                f"CREATE TABLE IF NOT EXISTS {name} PARTITION OF {ROWS} "
                f"FOR VALUES FROM ('{first} 00:00+00') TO ('{following} 00:00+00')"
            )
            names.append(name)
            first = following
    return names
