"""Months of the register leave it: into the archive first, then out of the database, in one transaction with the entry
that says so.

A worker that dies before the commit has dropped nothing; after it all of it stands. Two at once wait for the table's
lock, and who comes second finds the month gone.
"""

import logging
from datetime import date, datetime, timedelta

from django.conf import settings
from django.db import IntegrityError, OperationalError, ProgrammingError, connections, transaction
from psycopg import sql

from audit import months, retirements
from audit.archive import Archived, inspect, make_durable
from audit.models import Retirement, Verification
from audit.operations import Operation
from audit.record import Target, record
from audit.retention import Refusal, is_old
from controlplane import archives
from controlplane.actions.retire_month import retire_month
from controlplane.actors import SYSTEM
from controlplane.database_rights import owner_alias
from controlplane.errors import Refused
from controlplane.models import Export

logger = logging.getLogger(__name__)

LOCK_SECONDS = 3
"""writers of the register wait as long; then it is tried again at the next turn"""
ORDER_AGAIN = timedelta(days=1)


class Stays(Exception):
    """What was found behind the lock is against it."""


def retire_due(now: datetime) -> list[date]:
    """Go a step on with each old month: order its export, or drop it; answers those that were dropped."""
    if settings.ARCHIVE_DIR is None:
        return []
    old = [month for month in months.existing() if is_old(month, now, settings.RETENTION_DAYS)]
    return [month for month in old if _go_on(month, now)]


def _go_on(month: date, now: datetime) -> bool:
    found = archives.judged(month, now)
    if found.refusals == [Refusal.NOT_EXPORTED]:
        _order(month, now)
    elif found.refusals:
        logger.info("%s stays in the register: %s", found, ", ".join(found.refusals))
    elif found.export:
        return drop(month, found.export, now)
    return False


def _order(month: date, now: datetime) -> None:
    if Export.objects.filter(month=month, created_at__gt=now - ORDER_AGAIN).exists():
        return  # it has just failed or was cancelled
    try:
        retire_month(month, actor=SYSTEM, reason=f"older than {settings.RETENTION_DAYS} days")
    except (Refused, IntegrityError) as exc:
        logger.info("%s is not ordered: %s", month, exc)


def drop(month: date, export: Export, now: datetime) -> bool:
    """Drop a month that nothing is against, if its export is whole; False when it stays."""
    found = inspect(export.files, export.sha256)
    if isinstance(found, Refusal):
        logger.error("%s stays in the register: %s", month, found)
        return False
    try:
        make_durable(export.files)
        _drop(month, export, found, now)
    except (Stays, OSError) as exc:
        logger.warning("%s stays in the register: %s", month, exc)
        return False
    except (OperationalError, ProgrammingError, IntegrityError) as exc:
        # It was locked, or another was quicker.
        logger.warning("%s is not dropped now: %s", month, str(exc).partition("\n")[0])
        return False
    logger.info("%s was dropped from the register: it stands in %s", month, export)
    return True


def _drop(month: date, export: Export, found: Archived, now: datetime) -> None:
    using = owner_alias()
    with transaction.atomic(using=using):
        table = months.table_of(month)
        _lock(table, using)
        _look_again(table, export, found, using)
        _tell(month, export, found, now, using)
        _execute(sql.SQL("DROP TABLE {}").format(sql.Identifier(table)), using)


def _lock(table: str, using: str) -> None:
    """From here on nobody adds a row to the month or places a hold."""
    _execute(sql.SQL("SET LOCAL lock_timeout = {}").format(sql.Literal(f"{LOCK_SECONDS}s")), using)
    _execute(sql.SQL("LOCK TABLE {} IN SHARE ROW EXCLUSIVE MODE").format(sql.Identifier(table)), using)
    _execute(sql.SQL("LOCK TABLE audit_hold IN SHARE MODE"), using)


def _look_again(table: str, export: Export, found: Archived, using: str) -> None:
    if Verification.objects.using(using).select_for_update().filter(failed_at__isnull=False).exists():
        raise Stays(Refusal.FROZEN)
    if holds := months.touching(months.holds(using), lambda column, value: _has(table, column, value, using)):
        raise Stays(f"{Refusal.ON_HOLD} ({', '.join(holds)})")
    (rows,) = _execute(sql.SQL("SELECT count(*) FROM {}").format(sql.Identifier(table)), using)
    if not rows == found.rows == export.rows:
        raise Stays(f"{Refusal.EXPORT_INCOMPLETE} ({found.rows} rows of {rows})")


def _has(table: str, column: str, value: str, using: str) -> bool:
    statement = sql.SQL("SELECT EXISTS (SELECT FROM {} WHERE {} = {})")
    (there,) = _execute(statement.format(sql.Identifier(table), sql.Identifier(column), sql.Literal(value)), using)
    return bool(there)


def _tell(month: date, export: Export, found: Archived, now: datetime, using: str) -> None:
    first, last = found.ends
    name = f"{month:%Y-%m}"
    event = record(
        Operation.REGISTER_MONTH_RETIRED, actor=SYSTEM, target=Target("month", name, name), kind="system", using=using,
        reason=f"older than {settings.RETENTION_DAYS} days and kept in {export}",
        detail={
            "rows": found.rows, "first_seal": first, "last_seal": last, "export": str(export),
            "export_id": str(export.pk), "sha256": found.sha256,
        },
    )  # fmt: skip
    one = Retirement(
        month=month, retired_at=now, event=event.id, export=str(export), rows=found.rows, sha256=found.sha256,
        whole=found.whole, parts=found.parts,
    )  # fmt: skip
    retirements.sign(one).save(force_insert=True, using=using)


def _execute(statement: sql.Composable, using: str) -> tuple[int, ...]:
    with connections[using].cursor() as cursor:
        cursor.execute(statement)
        return cursor.fetchone() if cursor.description else ()
