"""What may go of the register is told and ordered on the host."""

import json

import pytest
from django.utils import timezone

from audit.models import Event
from audit.operations import Operation
from controlplane.models import Export
from tests.audit.months import old_month
from tests.commands.run import run

pytestmark = pytest.mark.django_db
THIS = f"{timezone.now():%Y-%m}"


def test_lists_every_month_with_its_reasons() -> None:
    assert f"{THIS}: stays, no_archive, too_young" in run("retire_month").out
    (one,) = [it for it in json.loads(run("retire_month", "--json").out)["months"] if it["month"] == THIS]
    assert (one["dropped"], one["kept_because"][-1]) == (False, "not_exported")


def test_dry_run_orders_nothing() -> None:
    with old_month():
        assert run("retire_month", THIS, "--dry-run").out.strip() == f"{THIS}: stays, not_exported"
    assert not Export.objects.exists()


def test_order_needs_a_reason_and_that_nothing_is_against_it() -> None:
    assert "too_young" in run("retire_month", THIS, "--reason", "old").err
    with old_month():
        assert run("retire_month", THIS).status == 1
        assert "export_unfinished" in run("retire_month", THIS, "--reason", "old").out
        assert run("retire_month", THIS, "--reason", "old").status == 1  # its own entry is not sealed yet
    told = Event.objects.get(operation=Operation.REGISTER_MONTH_RETIREMENT_ORDERED.value)
    assert (told.reason, Export.objects.get().month) == ("old", timezone.now().date().replace(day=1))


@pytest.mark.parametrize("text", ["2026-13", "0000-01", "x", "1999-01"])
def test_no_such_month(text: str) -> None:
    assert run("retire_month", text, "--reason", "old").status != 0
