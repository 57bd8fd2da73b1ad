"""Who is told of an alert, and when. Pure; every decision has a named reason."""

from collections.abc import Iterable
from datetime import datetime, timedelta
from enum import StrEnum
from typing import NamedTuple
from uuid import UUID

from controlplane.alerting.metrics import RANK
from controlplane.lifecycle import AlertState
from controlplane.models import Notice


class Reason(StrEnum):
    """Why somebody is told, or is not."""

    FIRST = "first"
    REPEAT_INTERVAL_ELAPSED = "repeat_interval_elapsed"
    RECOVERED = "recovered"
    NOT_FIRING = "not_firing"
    SILENCED = "silenced"
    ACKNOWLEDGED = "acknowledged"
    TOLD_ALREADY = "told_already"
    NEVER_TOLD = "never_told"


class Telling(NamedTuple):
    kind: Notice.Kind | None
    """None: nobody is told"""
    reason: Reason


class Told(NamedTuple):
    """What an alert's telling hangs on."""

    state: AlertState
    severity: str
    rule: UUID | None
    project: UUID | None
    deployment: UUID | None
    notified_at: datetime | None
    acknowledged: bool
    repeat: timedelta
    """0: told once"""


class Quiet(NamedTuple):
    """A silence that holds now. None matches all."""

    project: UUID | None
    rule: UUID | None
    deployment: UUID | None


class Listener(NamedTuple):
    """A channel that is switched on and not broken."""

    id: UUID
    project: UUID | None
    min_severity: str
    recoveries: bool


def is_silenced(alert: Told, silences: Iterable[Quiet]) -> bool:
    """Whether one of the silences matches in all that it names."""
    return any(
        quiet.project in {None, alert.project}
        and quiet.rule in {None, alert.rule}
        and quiet.deployment in {None, alert.deployment}
        for quiet in silences
    )


def decide(alert: Told, silences: Iterable[Quiet], now: datetime) -> Telling:
    """What is told of the alert as it is after this tick."""
    if alert.state is AlertState.INACTIVE:
        return _of_the_end(alert, silences)
    if alert.state is not AlertState.FIRING:
        return Telling(None, Reason.NOT_FIRING)
    if is_silenced(alert, silences):
        return Telling(None, Reason.SILENCED)
    return _of_firing(alert, alert.notified_at, now)


def _of_firing(alert: Told, notified_at: datetime | None, now: datetime) -> Telling:
    if notified_at is None:
        return Telling(Notice.Kind.FIRING, Reason.FIRST)
    if alert.acknowledged:
        return Telling(None, Reason.ACKNOWLEDGED)
    if alert.repeat and now - notified_at >= alert.repeat:
        return Telling(Notice.Kind.REPEAT, Reason.REPEAT_INTERVAL_ELAPSED)
    return Telling(None, Reason.TOLD_ALREADY)


def _of_the_end(alert: Told, silences: Iterable[Quiet]) -> Telling:
    if alert.notified_at is None:
        return Telling(None, Reason.NEVER_TOLD)
    if is_silenced(alert, silences):
        return Telling(None, Reason.SILENCED)
    return Telling(Notice.Kind.RESOLVED, Reason.RECOVERED)


def listeners(alert: Told, kind: Notice.Kind, channels: Iterable[Listener]) -> list[UUID]:
    """Whom it is told: channels of the platform hear of everything, those of a project of what is the project's."""
    return [
        channel.id
        for channel in channels
        if channel.project in {None, alert.project}
        and RANK[alert.severity] >= RANK[channel.min_severity]
        and (channel.recoveries or kind is not Notice.Kind.RESOLVED)
    ]
