"""Every reason against dropping a month has its name, and none is forgotten."""

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from audit.retention import Facts, Refusal, bounds, refusals

JANUARY = date(2031, 1, 1)
END = datetime(2031, 2, 1, tzinfo=UTC)
LATE = END + timedelta(days=180)
FINE = Facts(
    has_archive=True, holds=(), frozen=False, verified_at=LATE, unsealed_since=None, unnumbered=False,
    checkpoint_at=LATE, export=None,
)  # fmt: skip


def against(now: datetime = LATE, **facts: Any) -> list[Refusal]:
    return refusals(JANUARY, replace(FINE, **facts), now=now, days=180)


def test_old_month_in_the_archive_goes() -> None:
    assert against() == []


def test_to_the_moment() -> None:
    assert against(LATE - timedelta(microseconds=1)) == [Refusal.TOO_YOUNG]
    assert bounds(date(2030, 12, 1))[1] == bounds(JANUARY)[0]


@pytest.mark.parametrize(("facts", "reason"), [
    ({"has_archive": False}, Refusal.NO_ARCHIVE),
    ({"holds": ("project a",)}, Refusal.ON_HOLD),
    ({"frozen": True}, Refusal.FROZEN),
    ({"verified_at": None}, Refusal.NOT_VERIFIED),
    ({"verified_at": END - timedelta(seconds=1)}, Refusal.NOT_VERIFIED),
    ({"unsealed_since": END - timedelta(seconds=1)}, Refusal.NOT_SEALED),
    ({"unnumbered": True}, Refusal.NOT_SEALED),
    ({"checkpoint_at": None}, Refusal.NOT_CHECKPOINTED),
    ({"checkpoint_at": END - timedelta(seconds=1)}, Refusal.NOT_CHECKPOINTED),
    ({"export": Refusal.NOT_EXPORTED}, Refusal.NOT_EXPORTED),
    ({"export": Refusal.EXPORT_ALTERED}, Refusal.EXPORT_ALTERED),
])  # fmt: skip
def test_each_reason(facts: dict[str, Any], reason: Refusal) -> None:
    assert against(**facts) == [reason]


def test_what_waits_for_its_seal_today_keeps_no_old_month() -> None:
    assert against(unsealed_since=END) == []


def test_all_reasons_at_once() -> None:
    found = against(END, holds=("actor k",), frozen=True, export=Refusal.NOT_EXPORTED)
    assert found == [Refusal.TOO_YOUNG, Refusal.ON_HOLD, Refusal.FROZEN, Refusal.NOT_EXPORTED]
