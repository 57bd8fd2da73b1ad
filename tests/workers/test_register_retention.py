"""A month leaves the register only after its export is whole, and what is left still verifies."""

import gzip
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from django.db import connections, transaction
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from audit import months, rolling
from audit.checkpoints import write_checkpoint
from audit.models import Event, Hold, Retirement, Verification
from audit.operations import Operation
from audit.partitions import make_months
from audit.retention import Refusal
from audit.verifying import What, verify
from controlplane import archives
from controlplane.database_rights import owner_alias
from controlplane.lifecycle import ExportState
from controlplane.models import Export, User
from inference.contract.events import ROWS, TABLE
from tests.audit.seals import event, seal, write, write_numbers
from tests.audit.verifier import verified
from tests.register_wiping import FORBID, LET
from workers import exports, register_retention
from workers.register_retention import drop, retire_due

pytestmark = pytest.mark.django_db(transaction=True)
MAY, JUNE = date(2001, 5, 1), date(2001, 6, 1)


def sql(*statements: str) -> None:
    with transaction.atomic(owner_alias()), connections[owner_alias()].cursor() as cursor:
        for statement in statements:
            cursor.execute(statement)


@pytest.fixture(autouse=True)
def two_old_months(tmp_path: Path, settings: Any) -> Iterator[None]:
    """Eight rows of May and four of June in three seals, of which the second reaches over the turn of the month."""
    settings.CHECKPOINTS_FILE, settings.ARCHIVE_DIR = tmp_path / "checkpoints", tmp_path / "archive"
    made = make_months(TABLE, ROWS, datetime(2001, 5, 1, tzinfo=UTC), owner_alias())
    turn = datetime(2001, 6, 1, tzinfo=UTC)
    for first in (1, 5, 9):
        write(*(event("w", number, at=turn + timedelta(minutes=number - 7)) for number in range(first, first + 4)))
        seal()
    write_numbers("w", 13)
    seal()
    write_checkpoint(timezone.now())
    Verification.objects.update_or_create(pk=1, defaults={"last_round": timezone.now()})
    yield
    sql(*(f"DROP TABLE IF EXISTS {name}" for name in made))


def archive(month: date = MAY) -> Export:
    """Ordered and written by the workers themselves."""
    retire_due(timezone.now())
    for _ in range(5):
        Export.objects.filter(state=ExportState.RUNNING).update(lease_until=None)
        exports.write_next()
    export = Export.objects.get(month=month)
    assert export.state == ExportState.DONE
    return export


def test_last_page_of_the_list_says_what_has_left(alice_user: User) -> None:
    archive()
    console = Client()
    console.force_login(alice_user)
    page, told = reverse("admin:audit_event_changelist"), "Entries up to 2001-08 have left the database"
    assert told not in console.get(page).content.decode()
    retire_due(timezone.now())
    assert told in console.get(page).content.decode()
    assert told in console.get(page, {"at_from_0": "2001-08-31"}).content.decode()
    assert told not in console.get(page, {"at_from_0": "2001-09-01"}).content.decode()


def test_month_is_exported_then_dropped_and_all_still_verifies() -> None:
    archive()
    assert retire_due(timezone.now())[:2] == [MAY, JUNE]
    assert MAY not in months.existing()
    told = Event.objects.get(operation=Operation.REGISTER_MONTH_RETIRED.value, target_id="2001-05")
    assert (told.kind, told.detail["rows"], told.detail["first_seal"], told.detail["last_seal"]) == ("system", 6, 1, 2)
    retired = Retirement.objects.get(month=MAY)
    assert (retired.event, retired.whole, retired.parts) == (told.pk, [[1, 1]], [[2, [[0, 1]]]])
    seal()
    report = verify(timezone.now() + timedelta(minutes=5), processes=1)
    assert (report.failures, [str(one) for one in report.retired][:2]) == ([], ["2001-05", "2001-06"])
    assert rolling.verify_next(timezone.now()).first is None


def test_archive_verifies_without_the_database() -> None:
    export = archive()
    retire_due(timezone.now())
    status, told = verified(export.files.manifest)
    assert (status, gzip.decompress(export.files.content.read_bytes()).count(b"\n")) == (0, 6)
    assert "6 rows are as they were written" in told


def test_kept_rows_beside_dropped_ones_are_still_guarded() -> None:
    export = archive()
    assert drop(MAY, export, timezone.now())
    sql(LET, "DELETE FROM audit_event_rows WHERE writer = 'w' AND writer_seq = 7", FORBID)
    (failure,) = verify(timezone.now(), processes=1).failures
    assert (failure.what, failure.seal, failure.number) == (What.MISSING, 2, 7)


def test_row_that_comes_back_is_found() -> None:
    export = archive()
    drop(MAY, export, timezone.now())
    write(event("w", 2))
    (failure,) = verify(timezone.now(), processes=1).failures
    assert (failure.what, failure.seal, failure.number) == (What.INSERTED, 1, 2)


def test_nobody_excuses_missing_rows_without_the_key() -> None:
    export = archive()
    drop(MAY, export, timezone.now())
    sql(
        LET, "UPDATE audit_retirement SET whole = '[[1, 3]]'",
        "DELETE FROM audit_event_rows WHERE writer = 'w' AND writer_seq BETWEEN 9 AND 12", FORBID,
    )  # fmt: skip
    found = {(one.what, one.number) for one in verify(timezone.now(), processes=1).failures}
    assert (What.RETIREMENT_EDITED, 0) in found
    assert {(What.MISSING, number) for number in (*range(1, 7), *range(9, 13))} <= found


@pytest.mark.parametrize(("of", "name", "stays"), [
    ("project", "a", True), ("project", "another", False), ("actor", "k", True), ("actor", "somebody", False),
])  # fmt: skip
def test_legal_hold_that_touches_the_month(of: str, name: str, stays: bool) -> None:
    export = archive()
    Hold.objects.create(of=of, name=name, reason="lawsuit", placed_by="alice")
    assert archives.judged(MAY, timezone.now()).refusals == ([Refusal.ON_HOLD] if stays else [])
    assert drop(MAY, export, timezone.now()) is not stays  # behind the lock it is asked again
    assert (MAY in months.existing()) is stays


def test_frozen_register_keeps_all() -> None:
    export = archive()
    Verification.objects.update(failed_at=timezone.now())
    assert archives.judged(MAY, timezone.now()).refusals == [Refusal.FROZEN]
    assert not drop(MAY, export, timezone.now())


@pytest.mark.parametrize("what", ["content", "leaves", "manifest", "signature"])
def test_damaged_archive_is_refused(what: str) -> None:
    export = archive()
    path = export.files.shown()[what]
    path.write_bytes(b"!" + path.read_bytes()[1:])
    assert not drop(MAY, export, timezone.now())
    path.unlink()
    assert not drop(MAY, export, timezone.now())
    assert (MAY in months.existing(), Retirement.objects.count()) == (True, 0)


def test_row_that_came_after_the_export_keeps_the_month() -> None:
    export = archive()
    write(event("w", 14, at=datetime(2001, 5, 3, tzinfo=UTC)))
    assert not drop(MAY, export, timezone.now())
    assert archives.judged(MAY, timezone.now()).refusals == [Refusal.NOT_SEALED]


@pytest.mark.parametrize("step", ["_lock", "_look_again", "_tell", "_execute"])
def test_worker_that_dies_has_dropped_nothing(step: str, monkeypatch: pytest.MonkeyPatch) -> None:
    export = archive()
    real = getattr(register_retention, step)

    class Died(BaseException):
        pass

    def die(*args: Any, **kwargs: Any) -> Any:
        found = real(*args, **kwargs)
        if step != "_execute" or "DROP" in args[0].as_string(connections[owner_alias()].connection):
            raise Died
        return found

    monkeypatch.setattr(register_retention, step, die)
    with pytest.raises(Died):
        drop(MAY, export, timezone.now())
    assert (MAY in months.existing(), Retirement.objects.count()) == (True, 0)
    assert not Event.objects.filter(operation=Operation.REGISTER_MONTH_RETIRED.value).exists()
    monkeypatch.setattr(register_retention, step, real)
    assert drop(MAY, export, timezone.now())
    assert not drop(MAY, export, timezone.now())  # nothing twice
    assert Event.objects.filter(operation=Operation.REGISTER_MONTH_RETIRED.value).count() == 1


def test_without_an_archive_nothing_goes(settings: Any) -> None:
    settings.ARCHIVE_DIR = None
    assert retire_due(timezone.now()) == []
    assert not Export.objects.exists()
    assert Refusal.NO_ARCHIVE in archives.judged(MAY, timezone.now()).refusals


def test_archive_is_never_deleted() -> None:
    export = archive()
    exports.delete_old(timezone.now() + timedelta(days=9999))
    assert export.files.content.exists()
