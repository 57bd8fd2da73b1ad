"""Contents go by whole months, when the last day of one is old enough, and the register says so."""

from datetime import UTC, date, datetime

import pytest
from django.db import connections

from audit import body_partitions
from audit.models import Event, Hold
from audit.partitions import month_after
from controlplane.database_rights import owner_alias
from workers.body_retention import drop_old_bodies

NOW = datetime(2031, 5, 10, tzinfo=UTC)


@pytest.mark.parametrize(
    ("days", "dropped"),
    [(9, ["audit_body_2031_03", "audit_body_2031_04"]), (10, ["audit_body_2031_03"]), (40, []), (400, [])],
)
def test_months_that_are_due(days: int, dropped: list[str]) -> None:
    names = ["audit_body_default", "audit_body_2031_03", "audit_body_2031_04", "audit_body_2031_05", "other"]
    assert body_partitions.due(names, NOW, days) == dropped


def test_year_turns() -> None:
    assert month_after(date(2030, 12, 1)) == date(2031, 1, 1)


@pytest.mark.django_db(transaction=True, databases=["default", "owner"])
def test_old_months_are_dropped_and_told() -> None:
    body_partitions.ensure(datetime(2001, 1, 1, tzinfo=UTC), owner_alias())
    made = set(body_partitions.existing(owner_alias()))
    try:
        hold = Hold.objects.create(of="project", name="alpha", reason="lawsuit", placed_by="alice")
        assert drop_old_bodies(days=30, now=datetime(2001, 3, 31, tzinfo=UTC)) == []
        hold.delete()
        dropped = drop_old_bodies(days=30, now=datetime(2001, 3, 31, tzinfo=UTC))
        assert dropped == ["audit_body_2001_01", "audit_body_2001_02"]
        assert made - set(body_partitions.existing(owner_alias())) == set(dropped)
        event = Event.objects.get(operation="body.dropped")
        assert event.detail == {"months": dropped, "days": 30}
    finally:
        with connections[owner_alias()].cursor() as cursor:
            cursor.execute("DROP TABLE IF EXISTS audit_body_2001_03, audit_body_2001_04")
