"""Every trouble of the register has its name; a healthy one has none."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from audit.condition import State, Trouble, troubles
from audit.models import Checkpoint, Seal, SealerLease, Verification

NOW = datetime(2031, 5, 1, 12, tzinfo=UTC)
SECOND, DAY = timedelta(seconds=1), timedelta(days=1)


def lease(**fields: Any) -> SealerLease:
    return SealerLease(**{"holder": "h/1", "until": NOW + SECOND, "trouble": ""} | fields)


def seal(at: datetime = NOW) -> Seal:
    return Seal(number=7, sealed_at=at)


def checkpoint(number: int = 7, at: datetime = NOW) -> Checkpoint:
    return Checkpoint(number=number, signed_at=at)


FINE = State(
    seal=seal(), lag=0.4, gaps=[], lease=lease(), checkpoint=checkpoint(), verification=Verification(last_round=NOW)
)


def test_all_is_well() -> None:
    assert troubles(FINE, NOW) == []


@pytest.mark.parametrize(("fields", "trouble"), [
    ({"verification": Verification(last_round=NOW, failed_at=NOW)}, Trouble.FROZEN),
    ({"verification": None}, Trouble.NOT_VERIFIED_YET),
    ({"verification": Verification()}, Trouble.NOT_VERIFIED_YET),
    ({"lease": lease(trouble="OSError: [Errno 28] No space left on device")}, Trouble.DISK_FULL),
    ({"lease": lease(trouble="OperationalError: the connection is lost")}, Trouble.SEALER_TROUBLED),
    ({"lease": None}, Trouble.SEALER_AWAY),
    ({"lease": lease(holder="")}, Trouble.SEALER_AWAY),
    ({"lease": lease(until=NOW - SECOND)}, Trouble.SEALER_AWAY),
    ({"seal": seal(NOW + 3 * SECOND)}, Trouble.CLOCK_STEPPED_BACK),
    ({"lag": 10.1}, Trouble.BEHIND),
    ({"checkpoint": checkpoint(6, NOW - 181 * SECOND)}, Trouble.NOT_SIGNED),
    ({"checkpoint": None, "seal": seal(NOW - DAY)}, Trouble.NOT_SIGNED),
    ({"gaps": [{"writer": "w", "first": 1, "last": 2}]}, Trouble.NUMBERS_MISSING),
])  # fmt: skip
def test_each_trouble(fields: dict[str, Any], trouble: Trouble) -> None:
    assert troubles(replace(FINE, **fields), NOW) == [trouble]


@pytest.mark.parametrize("fields", [
    {"checkpoint": checkpoint(7, NOW - DAY)},  # nothing new to sign
    {"checkpoint": checkpoint(6, NOW - 179 * SECOND)},
    {"seal": None, "checkpoint": None},
    {"seal": seal(NOW + SECOND)},
])  # fmt: skip
def test_no_trouble(fields: dict[str, Any]) -> None:
    assert troubles(replace(FINE, **fields), NOW) == []
