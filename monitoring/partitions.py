"""The daily partitions of samples: made ahead, dropped whole once they are old. A default one catches the rest."""

import re
from datetime import date, datetime, timedelta

from django.db import DEFAULT_DB_ALIAS, connections, transaction
from psycopg import sql

TABLE = "monitoring_sample"
DAYS_AHEAD = 7
_NAME = re.compile(rf"{TABLE}_(\d{{4}})_(\d\d)_(\d\d)")


def ensure_partitions(now: datetime, using: str = DEFAULT_DB_ALIAS) -> list[str]:
    """Make those of today and the next days; answers their names. `using` is the connection of the table's owner."""
    names, today = [], now.date()
    with transaction.atomic(using=using), connections[using].cursor() as cursor:
        there = _there(using)
        for day in (today + timedelta(days=ahead) for ahead in range(-1, DAYS_AHEAD + 1)):
            name = f"{TABLE}_{day:%Y_%m_%d}"
            if name not in there:  # what fell into the default one meanwhile would be in its way
                span = (f"{day} 00:00+00", f"{day + timedelta(days=1)} 00:00+00")
                cursor.execute(f"DELETE FROM {TABLE}_default WHERE at >= %s AND at < %s", span)  # noqa: S608 # nosec B608
                cursor.execute(
                    sql.SQL("CREATE TABLE IF NOT EXISTS {} PARTITION OF {} FOR VALUES FROM ({}) TO ({})").format(
                        sql.Identifier(name), sql.Identifier(TABLE), *map(sql.Literal, span)
                    )
                )
            names.append(name)
    return names


def drop_partitions(now: datetime, days: int, using: str = DEFAULT_DB_ALIAS) -> list[str]:
    """Drop those whose last sample is more than so many days old; answers their names."""
    oldest = now.date() - timedelta(days=days)
    gone = [name for name, day in sorted(_there(using).items()) if day < oldest]
    with connections[using].cursor() as cursor:
        for name in gone:
            cursor.execute(sql.SQL("DROP TABLE IF EXISTS {}").format(sql.Identifier(name)))
    return gone


def _there(using: str) -> dict[str, date]:
    """name -> day"""
    with connections[using].cursor() as cursor:
        cursor.execute(
            "SELECT child.relname FROM pg_inherits JOIN pg_class child ON child.oid = inhrelid"
            " WHERE inhparent = %s::regclass", [TABLE],
        )  # fmt: skip
        found = {row[0]: _NAME.fullmatch(row[0]) for row in cursor.fetchall()}
    return {name: date(*map(int, match.groups())) for name, match in found.items() if match}
