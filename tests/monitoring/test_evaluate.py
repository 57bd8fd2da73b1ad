"""The state machine of an alert, against its table and against what a rule promises."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controlplane.lifecycle import AlertState, can_move
from monitoring.evaluate import GIVE_UP, Look, Move, Reason, Times, Track, step

S, R, L = AlertState, Reason, Look
NOW = datetime(2026, 11, 22, 3, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
TIMES = Times(2 * MINUTE, 5 * MINUTE)
AT_ONCE = Times(timedelta(0), timedelta(0))


def track(state: AlertState, *, age: timedelta = timedelta(0), fired: bool = False) -> Track:
    return Track(state, NOW - age, NOW - age, fired)


@pytest.mark.parametrize(
    ("was", "look", "times", "expected"),
    [
        (None, L.WELL, TIMES, None),
        (None, L.HOLDS, TIMES, Move(S.PENDING, R.CONDITION_HOLDS)),
        (None, L.HOLDS, AT_ONCE, Move(S.FIRING, R.HELD_LONG_ENOUGH)),
        (track(S.PENDING, age=MINUTE), L.HOLDS, TIMES, None),
        (track(S.PENDING, age=2 * MINUTE), L.HOLDS, TIMES, Move(S.FIRING, R.HELD_LONG_ENOUGH)),
        (track(S.PENDING), L.WELL, TIMES, Move(S.INACTIVE, R.PASSED_BY)),
        (track(S.FIRING, fired=True), L.HOLDS, TIMES, None),
        (track(S.FIRING, fired=True), L.WELL, TIMES, Move(S.RECOVERING, R.WELL_AGAIN)),
        (track(S.FIRING, fired=True), L.WELL, AT_ONCE, Move(S.INACTIVE, R.WELL_AGAIN)),
        (track(S.RECOVERING, age=4 * MINUTE, fired=True), L.WELL, TIMES, None),
        (track(S.RECOVERING, age=5 * MINUTE, fired=True), L.WELL, TIMES, Move(S.INACTIVE, R.WELL_LONG_ENOUGH)),
        (track(S.RECOVERING, fired=True), L.HOLDS, TIMES, Move(S.FIRING, R.HOLDS_AGAIN)),
        (track(S.FIRING, fired=True), L.NOTHING, TIMES, Move(S.NODATA, R.NO_DATA)),
        (track(S.NODATA, fired=True), L.HOLDS, TIMES, Move(S.FIRING, R.HOLDS_AGAIN)),
        (track(S.NODATA, fired=True), L.WELL, TIMES, Move(S.RECOVERING, R.WELL_AGAIN)),
        (track(S.NODATA), L.HOLDS, TIMES, Move(S.PENDING, R.CONDITION_HOLDS)),
        (track(S.NODATA), L.WELL, TIMES, Move(S.INACTIVE, R.PASSED_BY)),
        (track(S.NODATA, age=GIVE_UP, fired=True), L.NOTHING, TIMES, Move(S.INACTIVE, R.NO_DATA_FOR_A_DAY)),
        (track(S.FIRING, fired=True), L.BROKEN, TIMES, Move(S.ERROR, R.NOT_EVALUATED)),
        (track(S.ERROR, fired=True), L.HOLDS, TIMES, Move(S.FIRING, R.HOLDS_AGAIN)),
        (track(S.FIRING, fired=True), L.GONE, TIMES, Move(S.INACTIVE, R.SUBJECT_GONE)),
    ],
)
def test_step(was: Track | None, look: Look, times: Times, expected: Move | None) -> None:
    assert step(was, look, times, NOW) == expected


@given(
    st.sampled_from([None, *(it for it in S if it is not S.INACTIVE)]), st.booleans(), st.sampled_from(L),
    st.integers(0, 200_000), st.integers(0, 1), st.integers(0, 1),
)  # fmt: skip
def test_every_move_is_in_the_table(
    state: AlertState | None, fired: bool, look: Look, age: int, before: int, after: int
) -> None:
    fired = fired or state in {S.FIRING, S.RECOVERING}
    was = track(state, age=timedelta(seconds=age), fired=fired and state is not S.PENDING) if state else None
    move = step(was, look, Times(before * MINUTE, after * MINUTE), NOW)
    assert move is None or (can_move(state or S.INACTIVE, move.state) and move.state is not state)


@given(st.lists(st.sampled_from([L.HOLDS, L.WELL]), max_size=60))
def test_fires_only_after_holding_and_ends_only_after_being_well(looks: list[Look]) -> None:
    """Ticks of a minute: fires after two minutes in a row, ends after five well ones."""
    was: Track | None = None
    for number, look in enumerate(looks):
        now = NOW + number * MINUTE
        move = step(was, look, TIMES, now)
        if move is None:
            continue
        if move.state is S.FIRING and (was is None or not was.fired):
            assert looks[number - 2 : number + 1] == [L.HOLDS] * 3
        if move.state is S.INACTIVE and was is not None and was.fired:
            assert looks[number - 5 : number + 1] == [L.WELL] * 6
        if move.state is S.INACTIVE:
            was = None
        else:
            began = now if was is None else was.began_at
            was = Track(move.state, began, now, (was is not None and was.fired) or move.state is S.FIRING)
