"""The verification that runs by itself: slice by slice, and what a failure leaves behind."""

from typing import Any

import pytest
from django.db import connections, transaction
from django.utils import timezone

from audit import rolling
from audit.models import Event
from audit.operations import Operation
from audit.verifying import What
from controlplane.database_rights import owner_alias
from tests.audit.seals import seal, write_numbers
from tests.register_wiping import FORBID, LET

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def four_seals(tmp_path: Any, settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    settings.CHECKPOINTS_FILE = tmp_path / "checkpoints"
    monkeypatch.setattr(rolling, "SLICE_ROWS", 10)
    for turn in range(4):
        write_numbers("w", *range(turn * 5 + 1, turn * 5 + 6))
        seal()


def alter(statement: str) -> None:
    with transaction.atomic(owner_alias()), connections[owner_alias()].cursor() as cursor:
        cursor.execute(LET)
        cursor.execute(statement)
        cursor.execute(FORBID)


def failures() -> list[Event]:
    return list(Event.objects.filter(operation=Operation.REGISTER_VERIFICATION_FAILED.value))


def test_slices_make_a_round() -> None:
    assert [rolling.verify_next(timezone.now()).seals for _ in range(3)] == [2, 2, 2]
    state = rolling.state()
    assert state.last_round is not None
    assert not rolling.is_frozen()


def test_failure_is_told_once_and_freezes_until_a_round_passes() -> None:
    alter("UPDATE audit_event_rows SET status = 'ok?' WHERE writer = 'w' AND writer_seq = 13")
    assert rolling.verify_next(timezone.now()).first is None
    first = rolling.verify_next(timezone.now()).first
    assert (first.what, first.number, first.seal) == (What.CHANGED, 13, 3)
    rolling.verify_next(timezone.now())
    rolling.verify_next(timezone.now())
    (told,) = failures()
    assert (told.kind, told.status, told.detail["number"]) == ("security", "changed", 13)
    assert rolling.is_frozen()
    alter("UPDATE audit_event_rows SET status = 'ok' WHERE writer = 'w' AND writer_seq = 13")
    for _ in range(4):
        rolling.verify_next(timezone.now())
    assert not rolling.is_frozen()
