"""What a superuser writes into a seal or a statement is named as edited; it stops no verification and no export."""

from datetime import date
from pathlib import Path
from typing import Any

import pytest
from django.db import connections, transaction
from django.utils import timezone
from pyroaring import BitMap64

from audit import rolling
from audit.checkpoints import write_checkpoint
from audit.export_proofs import Proofs
from audit.finding import Selection
from audit.models import Retirement
from audit.verifying import Failure, What, verify
from controlplane.database_rights import owner_alias
from controlplane.lifecycle import ExportState
from controlplane.models import Export
from tests import factories
from tests.audit.seals import seal, write_numbers
from tests.register_wiping import FORBID, LET
from workers.exports import LONGEST_WAIT, Trouble, write_next

pytestmark = pytest.mark.django_db(transaction=True, databases=["default", "owner"])


NONSENSE = (
    "5", "null", "[[1]]", '[["w", "a", 2]]', '[["w", 1, 9223372036854775806]]', '[["w", 1, 99999999999999999999]]',
    '[["w", 5, 2]]', '[["w", -5, 2]]', '[["w", 1, 4, 9]]', "[]",
)  # fmt: skip


@pytest.fixture(autouse=True)
def directories(tmp_path: Path, settings: Any) -> None:
    settings.CHECKPOINTS_FILE, settings.EXPORTS_DIR = tmp_path / "checkpoints", tmp_path / "exports"


def edited(change: str) -> None:
    for first in (1, 5):
        write_numbers("w", *range(first, first + 4))
        seal()
    write_checkpoint(timezone.now())
    with transaction.atomic(owner_alias()), connections[owner_alias()].cursor() as cursor:
        for statement in (LET, f"UPDATE audit_seal SET {change} WHERE number = 1", FORBID):
            cursor.execute(statement)


def found() -> list[Failure]:
    return verify(timezone.now(), processes=1).failures


@pytest.mark.parametrize("ranges", NONSENSE)
def test_ranges_that_no_sealer_writes(ranges: str) -> None:
    edited(f"ranges = '{ranges}'")
    assert {(one.seal, one.what) for one in found()} >= {(1, What.SEAL_EDITED)}


@pytest.mark.parametrize("change", [*(f"ranges = '{ranges}'" for ranges in NONSENSE[::2]), "count = 2000000000"])
def test_an_export_proves_what_the_others_bind(change: str) -> None:
    edited(change)
    proofs = Proofs({"w": BitMap64(range(1, 9))}, Selection())
    assert [it["number"] for it in proofs.seals()] == [2]
    assert proofs.sealed == 4


@pytest.mark.parametrize("leaves", ["", "00", "00" * 160])
def test_leaf_hashes_that_are_none_prove_no_part(leaves: str) -> None:
    edited(f"leaves = '\\x{leaves}'")
    proofs = Proofs({"w": BitMap64([1, 3, 5])}, Selection())
    assert ([it["number"] for it in proofs.seals()], proofs.sealed) == ([2], 1)


def test_export_that_meets_a_time_that_is_none_ends_and_says_so() -> None:
    edited("sealed_at = 'infinity'")
    export = factories.ExportFactory()
    Export.objects.update(created_at=timezone.now() - LONGEST_WAIT * 2)
    write_next()
    export.refresh_from_db()
    assert (export.state, export.problem) == (ExportState.FAILED, Trouble.NOT_CANONICAL)


@pytest.mark.parametrize("column", ["sealed_at", "first_at"])
def test_time_that_cannot_be_read_is_noted_as_a_failure(column: str) -> None:
    edited(f"{column} = 'infinity'")
    assert rolling.verify_next(timezone.now()).first is not None
    assert rolling.is_frozen()


def test_statement_without_a_form_is_edited_too() -> None:
    Retirement(
        month=date(2001, 5, 1), retired_at=timezone.now(), event="00000000-0000-7000-8000-000000000000", export="e",
        rows=1, sha256="", whole=5, parts={"a": 1}, signature="?",
    ).save(force_insert=True, using=owner_alias())  # fmt: skip
    assert [one.what for one in found()] == [What.RETIREMENT_EDITED]
