"""What becomes of a replica's record."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from controlplane.lifecycle import ReplicaState, can_move
from workers.backends.base import Phase, ReplicaStatus, Trouble
from workers.verdict import (
    CRASH_LOOP_AFTER,
    LOADING,
    PROVEN_SECONDS,
    Happened,
    Health,
    Record,
    backoff,
    follow,
    how_it_ended,
)

NOW = datetime(2026, 11, 1, tzinfo=UTC)
RUNNING = ReplicaStatus("a-0", "a", Phase.RUNNING, "h", url="http://127.0.0.1:1", pid=7)
EXITED = replace(RUNNING, phase=Phase.EXITED, exit_signal=9, log_tail="one\nRuntimeError: out of luck\nbye\n")
STARTING = Record("a-0", ReplicaState.STARTING)
READY = Record("a-0", ReplicaState.READY, ready_at=NOW)
WELL, ILL = Health(ok=True), Health(ok=False, reason="no_answer", message="silence")


def _follow(record: Record, status: ReplicaStatus | None, health: Health | None = None, seconds: float = 0) -> Record:
    return follow(record, status, health, NOW + timedelta(seconds=seconds), chance=0)


def test_token_makes_it_ready() -> None:
    found = _follow(STARTING, RUNNING, WELL)
    assert (found.state, found.reason, found.ready_at) == (ReplicaState.READY, Happened.ANSWERED, NOW)
    assert (found.url, found.pid) == ("http://127.0.0.1:1", 7)


def test_no_news_changes_nothing() -> None:
    assert _follow(READY, RUNNING).state is ReplicaState.READY
    assert _follow(STARTING, RUNNING).state is ReplicaState.STARTING


def test_starting_one_that_does_not_answer_yet_is_not_ill() -> None:
    found = _follow(STARTING, RUNNING, ILL)
    assert (found.state, found.message) == (ReplicaState.STARTING, LOADING)


def test_ready_one_that_falls_silent_leaves_rotation_and_returns() -> None:
    ill = _follow(READY, RUNNING, ILL)
    assert (ill.state, ill.reason, ill.ready_at) == (ReplicaState.UNHEALTHY, "no_answer", None)
    assert _follow(ill, RUNNING, WELL).state is ReplicaState.READY


def test_death_is_told_and_waits() -> None:
    found = _follow(READY, EXITED)
    assert (found.state, found.reason, found.restarts) == (ReplicaState.BACKOFF, Happened.KILLED, 1)
    assert found.message == "killed by SIGKILL, by hand or by the kernel for lack of memory"
    assert found.retry_at == NOW + timedelta(seconds=1)


def test_same_death_is_counted_once() -> None:
    dead = _follow(READY, EXITED)
    assert _follow(dead, EXITED, seconds=5) == dead


def test_crash_loop_after_some_failures_in_a_row() -> None:
    record = STARTING
    for _ in range(CRASH_LOOP_AFTER):
        record = replace(_follow(record, EXITED), state=ReplicaState.STARTING)
    assert _follow(record, EXITED).state is ReplicaState.CRASH_LOOP


def test_failures_are_forgotten_once_it_is_proven() -> None:
    record = replace(READY, restarts=3)
    assert _follow(record, RUNNING, WELL, PROVEN_SECONDS - 1).restarts == 3
    assert _follow(record, RUNNING, WELL, PROVEN_SECONDS).restarts == 0


def test_ordered_end_is_no_failure() -> None:
    found = _follow(READY, replace(EXITED, stop_ordered=True))
    assert (found.state, found.reason, found.restarts) == (ReplicaState.STOPPED, Happened.ENDED_OUTSIDE, 0)


def test_death_on_the_way_out_is_no_failure() -> None:
    leaving = replace(READY, state=ReplicaState.STOPPING, reason="surplus")
    assert _follow(leaving, EXITED).state is ReplicaState.STOPPED
    assert _follow(leaving, None).state is ReplicaState.STOPPED


def test_vanished_one_may_start_at_once() -> None:
    found = _follow(READY, None)
    assert (found.state, found.reason, found.retry_at) == (ReplicaState.BACKOFF, Happened.VANISHED, NOW)


def test_running_one_that_nobody_remembers_is_adopted() -> None:
    adopted = _follow(Record("a-0"), RUNNING, WELL)
    assert adopted.state is ReplicaState.STARTING, "the table of states knows no other way"
    assert _follow(adopted, RUNNING, WELL).state is ReplicaState.READY


@pytest.mark.parametrize("state", ReplicaState)
@pytest.mark.parametrize("trouble", [None, Trouble.CRASH_LOOP, Trouble.IMAGE])
@pytest.mark.parametrize("health", [None, WELL, ILL])
def test_every_move_is_in_the_table(state: ReplicaState, trouble: Trouble | None, health: Health | None) -> None:
    found = _follow(Record("a-0", state), replace(RUNNING, trouble=trouble, restarts=5), health)
    assert can_move(state, found.state)


def test_trouble_is_named_and_goes_away() -> None:
    stuck = _follow(STARTING, replace(RUNNING, trouble=Trouble.IMAGE, message="no such image"))
    assert (stuck.state, stuck.reason, stuck.message) == (ReplicaState.STARTING, Trouble.IMAGE, "no such image")
    assert _follow(stuck, RUNNING).message == LOADING


def test_crash_loop_of_a_backend_is_one_with_the_telling_line() -> None:
    status = replace(RUNNING, trouble=Trouble.CRASH_LOOP, message="ended", restarts=4, log_tail="ValueError: no\nbye\n")
    found = _follow(STARTING, status)
    assert (found.state, found.message, found.restarts) == (ReplicaState.CRASH_LOOP, "ended: ValueError: no", 4)


def test_engine_that_its_backend_started_anew_loads_first() -> None:
    before = replace(READY, url=RUNNING.url, started_at=NOW)
    status = replace(RUNNING, restarts=1, started_at=(NOW + timedelta(seconds=9)).timestamp())
    assert _follow(before, status).state is ReplicaState.STARTING


def test_trouble_of_another_pod_does_not_end_what_serves() -> None:
    assert _follow(READY, replace(RUNNING, trouble=Trouble.UNSCHEDULABLE), WELL).state is ReplicaState.READY


def test_backoff_doubles_up_to_a_minute() -> None:
    assert [backoff(n, 0).total_seconds() for n in range(1, 9)] == [1, 2, 4, 8, 16, 32, 60, 60]
    assert backoff(10**9, 0).total_seconds() == 60


def test_backoff_is_spread() -> None:
    assert backoff(7, 1).total_seconds() == pytest.approx(48)


@pytest.mark.parametrize(
    ("status", "words"),
    [
        (replace(RUNNING, exit_code=2), "ended with exit code 2"),
        (replace(RUNNING, message="its supervisor was killed"), "its supervisor was killed"),
        (replace(RUNNING, exit_signal=11), "killed by SIGSEGV"),
        (
            replace(RUNNING, exit_code=1, log_tail="RuntimeError: no\nWARNING like OSError: x\nbye"),
            "ended with exit code 1: RuntimeError: no",
        ),
        (replace(RUNNING, exit_code=1, log_tail="a\nlast\n\nsignalbox: x"), "ended with exit code 1: last"),
    ],
)
def test_ends_in_words(status: ReplicaStatus, words: str) -> None:
    assert how_it_ended(status) == words
