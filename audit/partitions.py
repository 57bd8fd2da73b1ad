"""The register's monthly partitions, made ahead of time. A default partition catches what falls outside them."""

from datetime import date, datetime

from django.db import connection

from inference.contract.events import TABLE

MONTHS_AHEAD = 3


def month_after(month: date) -> date:
    return date(month.year + month.month // 12, month.month % 12 + 1, 1)


def ensure_partitions(now: datetime) -> list[str]:
    """Make the partitions of this month and the next `MONTHS_AHEAD`; answers the names of all of them."""
    first, names = date(now.year, now.month, 1), []
    with connection.cursor() as cursor:
        for _ in range(MONTHS_AHEAD + 1):
            following = month_after(first)
            name = f"{TABLE}_{first:%Y_%m}"
            cursor.execute(
                f"CREATE TABLE IF NOT EXISTS {name} PARTITION OF {TABLE} "
                f"FOR VALUES FROM ('{first} 00:00+00') TO ('{following} 00:00+00')"
            )
            names.append(name)
            first = following
    return names
