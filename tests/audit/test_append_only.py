"""Nobody changes the register, not even who owns its tables."""

from datetime import UTC, datetime

import pytest
from django.db import DatabaseError, connections, transaction

from audit.operations import Operation
from audit.partitions import ensure_partitions
from audit.record import Actor, Target, record
from controlplane.database_rights import owner_alias

pytestmark = pytest.mark.django_db(transaction=True)
SYSTEM = Actor(type="system", id="", name="system", source="worker")
MONTH = f"audit_event_{datetime.now(UTC):%Y_%m}"


@pytest.mark.parametrize("table", ["audit_event", "audit_event_rows", MONTH])
@pytest.mark.parametrize("change", ["UPDATE {} SET reason = 'other'", "DELETE FROM {}", "TRUNCATE {}"])
def test_owner_is_refused(table: str, change: str) -> None:
    record(Operation.PROJECT_CHANGED, actor=SYSTEM, target=Target("project", "1", "x"))
    with pytest.raises(DatabaseError, match="only appended to"), transaction.atomic(owner_alias()):
        connections[owner_alias()].cursor().execute(change.format(table))


@pytest.mark.parametrize("table", ["audit_seal", "audit_checkpoint"])
def test_seals_are_not_emptied(table: str) -> None:
    with pytest.raises(DatabaseError, match="only appended to"), transaction.atomic(owner_alias()):
        connections[owner_alias()].cursor().execute(f"TRUNCATE {table}")


def test_new_months_have_triggers_and_statistics_too() -> None:
    ensure_partitions(datetime(2031, 1, 1, tzinfo=UTC), owner_alias())
    with connections[owner_alias()].cursor() as cursor:
        cursor.execute(
            "SELECT tgname, tgenabled FROM pg_trigger WHERE tgrelid = 'audit_event_2031_01'::regclass"
            " AND tgname LIKE 'audit_refuse%'"
        )
        found = dict(cursor.fetchall())
        cursor.execute("SELECT stxkind FROM pg_statistic_ext WHERE stxrelid = 'audit_event_2031_01'::regclass")
        together = cursor.fetchall()
        for month in ("01", "02", "03", "04"):
            cursor.execute(f"DROP TABLE audit_event_2031_{month}")
    assert found == {"audit_refuse": "A"}
    assert together == [(["f", "m"],)], "how projects and operations go together, for the planner"
