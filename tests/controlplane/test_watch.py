"""What is abnormal: a pure decision over what was done before."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from audit.operations import Operation
from audit.watch import OF_OPERATION, Act, Reason, Rule, Threshold, decide, weight_of
from config import env

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
TEN = Threshold(10, timedelta(minutes=5))


def acts(*seconds_ago: int) -> list[Act]:
    return [Act(NOW - timedelta(seconds=it), 1) for it in seconds_ago]


@pytest.mark.parametrize(("before", "reason"), [(9, Reason.WITHIN_THE_THRESHOLD), (10, Reason.TOO_MUCH)])
def test_the_one_too_many(before: int, reason: Reason) -> None:
    verdict = decide(acts(*range(before)), Act(NOW, 1), Rule.DELETIONS, TEN)
    assert (verdict.reason, verdict.count) == (reason, before + 1)


def test_what_left_the_window_does_not_count() -> None:
    assert decide(acts(*[300] * 50), Act(NOW, 1), Rule.DELETIONS, TEN).count == 1
    assert decide(acts(*[299] * 10), Act(NOW, 1), Rule.DELETIONS, TEN).refused


def test_switched_off() -> None:
    assert decide(acts(*range(99)), Act(NOW, 1), Rule.DELETIONS, None).reason is Reason.NOT_WATCHED


def test_rows_weigh_what_they_are() -> None:
    assert weight_of(Rule.ROWS_EXPORTED, {"file": "content", "rows": 77}) == 77
    assert weight_of(Rule.ROWS_EXPORTED, {"file": "manifest", "rows": 77}) == 0
    assert weight_of(Rule.DELETIONS, None) == 1


@given(st.lists(st.integers(0, 900), max_size=60))
def test_no_window_ever_holds_more(gaps: list[int]) -> None:
    """Whatever the times, what was allowed never exceeds the threshold in any window."""
    now, allowed = NOW, []
    for gap in gaps:
        now += timedelta(seconds=gap)
        if not decide(allowed, Act(now, 1), Rule.DELETIONS, TEN).refused:
            allowed.append(Act(now, 1))
    for act in allowed:
        held = [it for it in allowed if act.at - TEN.window < it.at <= act.at]
        assert len(held) <= TEN.most


def test_what_deletes_or_revokes_is_watched() -> None:
    ending = {it for it in Operation if it.value.rpartition(".")[2] in {"deleted", "removed", "retired"}}
    assert {it.value for it in ending - OF_OPERATION.keys()} == set()


@pytest.mark.parametrize(("text", "found"), [("3/7", Threshold(3, timedelta(minutes=7))), ("off", None)])
def test_threshold_is_read(text: str, found: Threshold | None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("X", text)
    assert env.threshold("X", "1/1") == found


@pytest.mark.parametrize("text", ["3", "3/0", "a/b", "-1/5", "3/5/7"])
def test_nonsense_stops_the_boot(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("X", text)
    with pytest.raises(env.BadEnvironment):
        env.threshold("X", "1/1")
