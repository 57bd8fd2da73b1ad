"""The state machine of an alert: one step a tick. Pure; every move has a named reason.

inactive → pending → firing → recovering → inactive. No data is not success: an open alert without any waits in
`nodata`, one whose rule cannot be evaluated in `error`; both go on where they were once there is something to judge.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import NamedTuple

from controlplane.lifecycle import AlertState

GIVE_UP = timedelta(days=1)
"""an alert without data for so long ends"""


class Reason(StrEnum):
    """Why an alert moved."""

    CONDITION_HOLDS = "condition_holds"
    HELD_LONG_ENOUGH = "held_long_enough"
    PASSED_BY = "passed_by"
    WELL_AGAIN = "well_again"
    WELL_LONG_ENOUGH = "well_long_enough"
    HOLDS_AGAIN = "holds_again"
    NO_DATA = "no_data"
    NO_DATA_FOR_A_DAY = "no_data_for_a_day"
    NOT_EVALUATED = "not_evaluated"
    SUBJECT_GONE = "subject_gone"
    RULE_GONE = "rule_gone"


class Look(StrEnum):
    """What one tick saw of a subject."""

    HOLDS = "holds"
    WELL = "well"
    NOTHING = "nothing"
    BROKEN = "broken"
    GONE = "gone"


@dataclass(frozen=True, slots=True)
class Track:
    """Where an alert is. `fired`: whether it has fired in this episode."""

    state: AlertState
    began_at: datetime
    state_at: datetime
    fired: bool = False


class Times(NamedTuple):
    """How patient a rule is."""

    before: timedelta
    """the condition has to hold so long before it fires"""
    after: timedelta
    """and to be over so long before it is well"""


class Move(NamedTuple):
    state: AlertState
    reason: Reason


_S, _R = AlertState, Reason


def step(track: Track | None, look: Look, times: Times, now: datetime) -> Move | None:
    """Where it goes now, if anywhere. `track` is None for what is not open."""
    if track is None:
        return _begin(times) if look is Look.HOLDS else None
    move = _MOVES[look](track, times, now)
    return None if move is None or move.state is track.state else move


def _begin(times: Times) -> Move:
    return Move(_S.PENDING, _R.CONDITION_HOLDS) if times.before else Move(_S.FIRING, _R.HELD_LONG_ENOUGH)


def _holds(track: Track, times: Times, now: datetime) -> Move | None:
    if track.fired:
        return Move(_S.FIRING, _R.HOLDS_AGAIN)
    if track.state is _S.PENDING:
        return Move(_S.FIRING, _R.HELD_LONG_ENOUGH) if now - track.began_at >= times.before else None
    return _begin(times)  # what was before the gap is not known


def _well(track: Track, times: Times, now: datetime) -> Move | None:
    if not track.fired:
        return Move(_S.INACTIVE, _R.PASSED_BY)
    if track.state is _S.RECOVERING:
        return Move(_S.INACTIVE, _R.WELL_LONG_ENOUGH) if now - track.state_at >= times.after else None
    return Move(_S.RECOVERING, _R.WELL_AGAIN) if times.after else Move(_S.INACTIVE, _R.WELL_AGAIN)


def _nothing(track: Track, _times: Times, now: datetime) -> Move | None:
    if track.state is _S.NODATA and now - track.state_at >= GIVE_UP:
        return Move(_S.INACTIVE, _R.NO_DATA_FOR_A_DAY)
    return Move(_S.NODATA, _R.NO_DATA)


def _broken(_track: Track, _times: Times, _now: datetime) -> Move:
    return Move(_S.ERROR, _R.NOT_EVALUATED)


def _gone(_track: Track, _times: Times, _now: datetime) -> Move:
    return Move(_S.INACTIVE, _R.SUBJECT_GONE)


_MOVES = {Look.HOLDS: _holds, Look.WELL: _well, Look.NOTHING: _nothing, Look.BROKEN: _broken, Look.GONE: _gone}
