"""Monthly partitions of the register and of the bodies, made ahead. A default one catches what falls outside."""

from datetime import date, datetime

from django.db import DEFAULT_DB_ALIAS, connections

from inference.contract.events import ROWS, TABLE

MONTHS_AHEAD = 3


# Each table is told for itself. Before the migration that brings the function there is nothing to do.
_APPEND_ONLY = """
DO $$
DECLARE place regclass := %s;
BEGIN
    IF to_regproc('audit_refuse') IS NULL OR EXISTS (
        SELECT FROM pg_trigger WHERE tgrelid = place AND tgname = 'audit_refuse'
    ) THEN RETURN; END IF;
    EXECUTE format('CREATE TRIGGER audit_refuse BEFORE UPDATE OR DELETE OR TRUNCATE ON %%s '
                   'EXECUTE FUNCTION audit_refuse()', place);
    EXECUTE format('ALTER TABLE %%s ENABLE ALWAYS TRIGGER audit_refuse', place);
END $$
"""

# A project uses a few operations only, so the two are not as independent as the planner takes them for: a page of both
# read all rows of both instead of the newest of one (2.6 s against 1 ms in ten million entries).
_TOGETHER = """
DO $$
DECLARE place regclass := %s;
BEGIN
    IF NOT EXISTS (SELECT FROM pg_statistic_ext WHERE stxrelid = place) THEN
        EXECUTE format('CREATE STATISTICS (dependencies, mcv) ON project, operation FROM %%s', place);
    END IF;
END $$
"""


def month_after(month: date) -> date:
    return date(month.year + month.month // 12, month.month % 12 + 1, 1)


def make_months(table: str, parent: str, now: datetime, using: str) -> list[str]:
    """Make the partitions ``<table>_YYYY_MM`` of this month and the next `MONTHS_AHEAD`; answers their names.

    `using` is the connection of the table's owner.
    """
    first, names = date(now.year, now.month, 1), []
    with connections[using].cursor() as cursor:
        for _ in range(MONTHS_AHEAD + 1):
            following = month_after(first)
            name = f"{table}_{first:%Y_%m}"
            cursor.execute(
                f"CREATE TABLE IF NOT EXISTS {name} PARTITION OF {parent} "
                f"FOR VALUES FROM ('{first} 00:00+00') TO ('{following} 00:00+00')"
            )
            names.append(name)
            first = following
    return names


_PARTITIONS = """
SELECT child.relname FROM pg_inherits
JOIN pg_class child ON child.oid = inhrelid JOIN pg_class parent ON parent.oid = inhparent
WHERE parent.relname = %s
"""


def partitions_of(parent: str, using: str) -> list[str]:
    """Names of all of them, the default one included."""
    with connections[using].cursor() as cursor:
        cursor.execute(_PARTITIONS, [parent])
        return [name for (name,) in cursor.fetchall()]


def month_in(name: str, table: str) -> date | None:
    """The first day of the month that ``<table>_YYYY_MM`` is of; None for any other name."""
    year, _, month = name.removeprefix(f"{table}_").partition("_")
    return date(int(year), int(month), 1) if year.isdigit() and month.isdigit() else None


def ensure_partitions(now: datetime, using: str = DEFAULT_DB_ALIAS) -> list[str]:
    """Make the register's, append-only like the whole; answers the names of all of them."""
    names = make_months(TABLE, ROWS, now, using)
    with connections[using].cursor() as cursor:
        for name in names:
            cursor.execute(_APPEND_ONLY, [name])
        for name in partitions_of(ROWS, using):
            cursor.execute(_TOGETHER, [name])
    return names
