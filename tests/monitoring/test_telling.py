"""Who is told, when, and by what reason."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest

from controlplane.lifecycle import AlertState
from controlplane.models import Notice
from monitoring.telling import Listener, Quiet, Reason, Told, decide, listeners

NOW = datetime(2026, 11, 22, 3, tzinfo=UTC)
HOUR = timedelta(hours=1)
RULE, MINE, OTHER, DEPLOYMENT = uuid4(), uuid4(), uuid4(), uuid4()


def told(**fields: Any) -> Told:
    usual = {
        "state": AlertState.FIRING, "severity": "warning", "rule": RULE, "project": MINE, "deployment": DEPLOYMENT,
        "notified_at": None, "acknowledged": False, "repeat": 4 * HOUR,
    }  # fmt: skip
    return Told(**(usual | fields))


ALL = Quiet(None, None, None)


@pytest.mark.parametrize(
    ("alert", "silences", "reason"),
    [
        (told(), [], Reason.FIRST),
        (told(state=AlertState.PENDING), [], Reason.NOT_FIRING),
        (told(state=AlertState.NODATA, notified_at=NOW), [], Reason.NOT_FIRING),
        (told(notified_at=NOW - HOUR), [], Reason.TOLD_ALREADY),
        (told(notified_at=NOW - 4 * HOUR), [], Reason.REPEAT_INTERVAL_ELAPSED),
        (told(notified_at=NOW - 4 * HOUR, acknowledged=True), [], Reason.ACKNOWLEDGED),
        (told(notified_at=NOW - 4 * HOUR, repeat=timedelta(0)), [], Reason.TOLD_ALREADY),
        (told(), [ALL], Reason.SILENCED),
        (told(), [Quiet(OTHER, None, None)], Reason.FIRST),
        (told(), [Quiet(MINE, RULE, DEPLOYMENT)], Reason.SILENCED),
        (told(), [Quiet(None, None, uuid4())], Reason.FIRST),
        (told(state=AlertState.INACTIVE), [], Reason.NEVER_TOLD),
        (told(state=AlertState.INACTIVE, notified_at=NOW), [], Reason.RECOVERED),
        (told(state=AlertState.INACTIVE, notified_at=NOW), [ALL], Reason.SILENCED),
    ],
)
def test_decision(alert: Told, silences: list[Quiet], reason: Reason) -> None:
    telling = decide(alert, silences, NOW)
    assert telling.reason is reason
    assert (telling.kind is not None) == (reason in {Reason.FIRST, Reason.REPEAT_INTERVAL_ELAPSED, Reason.RECOVERED})


@dataclass
class Case:
    channel: dict[str, Any]
    hears: bool
    kind: Notice.Kind = Notice.Kind.FIRING


@pytest.mark.parametrize(
    "case",
    [
        Case({}, True), Case({"project": MINE}, True), Case({"project": OTHER}, False),
        Case({"min_severity": "warning"}, True), Case({"min_severity": "critical"}, False),
        Case({"recoveries": False}, True), Case({"recoveries": False}, False, Notice.Kind.RESOLVED),
    ],
)  # fmt: skip
def test_who_listens(case: Case) -> None:
    usual: dict[str, Any] = {"id": uuid4(), "project": None, "min_severity": "info", "recoveries": True}
    channel = Listener(**(usual | case.channel))
    assert listeners(told(), case.kind, [channel]) == ([channel.id] if case.hears else [])
