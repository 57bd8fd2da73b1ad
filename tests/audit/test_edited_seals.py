"""Whatever a superuser writes into a seal or a statement is named as edited; nothing stops the verification."""

from datetime import date

import pytest
from django.db import connections, transaction
from django.utils import timezone

from audit import rolling
from audit.models import Retirement
from audit.verifying import Failure, What, verify
from controlplane.database_rights import owner_alias
from tests.audit.seals import seal, write_numbers
from tests.register_wiping import FORBID, LET

pytestmark = pytest.mark.django_db(transaction=True, databases=["default", "owner"])


def edited(change: str) -> None:
    for first in (1, 5):
        write_numbers("w", *range(first, first + 4))
        seal()
    with transaction.atomic(owner_alias()), connections[owner_alias()].cursor() as cursor:
        for statement in (LET, f"UPDATE audit_seal SET {change} WHERE number = 1", FORBID):
            cursor.execute(statement)


def found() -> list[Failure]:
    return verify(timezone.now(), processes=1).failures


@pytest.mark.parametrize("ranges", [
    "5", "null", "[[1]]", '[["w", "a", 2]]', '[["w", 1, 9223372036854775806]]', '[["w", 1, 99999999999999999999]]',
    '[["w", 5, 2]]', '[["w", -5, 2]]', '[["w", 1, 4, 9]]', "[]",
])  # fmt: skip
def test_ranges_that_no_sealer_writes(ranges: str) -> None:
    edited(f"ranges = '{ranges}'")
    assert {(one.seal, one.what) for one in found()} >= {(1, What.SEAL_EDITED)}


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
