"""An engine that moves is never called hung, and one that does not is found in time."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inference.engine_metrics import Sample
from inference.pulse import Pulse, Verdict

PATIENCE, POLL, TICK = 5.0, 2.0, 0.5


def sample(steps: float, *, working: bool = True) -> Sample:
    return Sample((steps,), working)


def watched(steps: float = 1, at: float = 0) -> Pulse:
    """An engine that has told its steps then."""
    pulse = Pulse(alive_at=at)
    pulse.answered(sample(steps), at)
    return pulse


def judged(pulse: Pulse, now: float, in_flight: int = 1) -> Verdict:
    return pulse.judge(now, in_flight=in_flight, patience=PATIENCE)


def test_standing_counters_with_work_are_a_stall() -> None:
    pulse = watched()
    for at in (2.0, 4.0):
        pulse.answered(sample(1), at)
        assert judged(pulse, at) is Verdict.ALIVE
    pulse.answered(sample(1), 6.0)
    assert judged(pulse, 6.0) is Verdict.STALLED
    pulse.answered(sample(2), 8.0)
    assert judged(pulse, 8.0) is Verdict.ALIVE


def test_step_is_a_counter_that_has_moved() -> None:
    pulse = Pulse(alive_at=0)
    assert [pulse.answered(sample(steps), at) for at, steps in enumerate([5, 5, 6, 6, 2])] == [
        False, False, True, False, True,
    ]  # fmt: skip


def test_bytes_are_as_good_as_steps() -> None:
    pulse = watched()
    for at in range(2, 40, 2):
        pulse.heard(at - 1)
        pulse.answered(sample(1), at)
        assert judged(pulse, at) is Verdict.ALIVE


def test_engine_says_itself_that_it_has_work() -> None:
    pulse = watched()
    pulse.answered(sample(1), 6)
    assert judged(pulse, 6, in_flight=0) is Verdict.STALLED


def test_nothing_to_do_is_no_stall() -> None:
    pulse = watched()
    for at in range(100):
        pulse.answered(sample(1, working=False), at)
        assert judged(pulse, at, in_flight=0) is Verdict.ALIVE
    assert judged(pulse, 99.5, in_flight=1) is Verdict.ALIVE


def test_unanswered_polls_are_deafness_even_without_work() -> None:
    pulse = watched()
    pulse.answered(sample(1, working=False), 1)
    judged(pulse, 1, in_flight=0)
    pulse.ignored()
    assert judged(pulse, 30, in_flight=0) is Verdict.ALIVE
    pulse.ignored()
    assert judged(pulse, 30, in_flight=0) is Verdict.DEAF


def test_deaf_engine_that_answers_again_is_alive() -> None:
    pulse = watched()
    pulse.ignored()
    pulse.ignored()
    assert judged(pulse, 7) is Verdict.DEAF
    pulse.answered(sample(1), 8)
    assert judged(pulse, 8) is Verdict.ALIVE


def test_stall_does_not_end_with_a_poll_that_is_not_answered() -> None:
    pulse = watched()
    pulse.answered(sample(1), 6)
    assert judged(pulse, 6) is Verdict.STALLED
    pulse.ignored()
    assert judged(pulse, 8) is Verdict.STALLED


@pytest.mark.parametrize("told", [Sample(), Sample((), True, 0.9)])
@pytest.mark.parametrize("answers", [1, 300])
def test_engine_without_counters_is_never_called_hung(told: Sample, answers: int) -> None:
    pulse = Pulse(alive_at=0)
    for poll in range(300):
        if poll < answers:
            pulse.answered(told, 2 * poll)
        else:
            pulse.ignored()
        assert judged(pulse, 2 * poll) is Verdict.ALIVE


def test_engine_that_never_said_a_word_is_deaf() -> None:
    pulse = Pulse(alive_at=0)
    for _ in range(3):
        pulse.heard(0)
        pulse.ignored()
    assert judged(pulse, 6) is Verdict.DEAF
    pulse.heard(7)
    assert judged(pulse, 60) is Verdict.ALIVE


def test_time_in_which_nobody_looked_does_not_count() -> None:
    pulse = watched()
    pulse.ignored()
    pulse.pardon(60)
    pulse.ignored()
    assert judged(pulse, 61) is Verdict.ALIVE


class Engine:
    """Moves, answers and speaks until it hangs."""

    def __init__(self, hangs_at: float, *, deaf: bool, moves_every: float) -> None:
        self.hangs_at, self.deaf, self.every = hangs_at, deaf, moves_every

    def steps(self, now: float) -> float:
        return min(now, self.hangs_at) // self.every


def watch(engine: Engine, phase: float, until: float, pulse: Pulse) -> float | None:
    """When it is found out, looking each `TICK` and polling each `POLL`."""
    next_poll = phase
    for tick in range(int(until / TICK)):
        now = tick * TICK
        while next_poll <= now:
            if engine.deaf and next_poll >= engine.hangs_at:
                pulse.ignored()
            else:
                pulse.answered(sample(engine.steps(next_poll)), next_poll)
            next_poll += POLL
        if judged(pulse, now) is not Verdict.ALIVE:
            return now
    return None


@given(st.floats(5, 50), st.booleans(), st.floats(0, 2))
def test_hang_is_found_within_ten_seconds(hangs_at: float, deaf: bool, phase: float) -> None:
    found = watch(Engine(hangs_at, deaf=deaf, moves_every=0.05), phase, 80, Pulse(alive_at=0))
    assert found is not None
    assert hangs_at + PATIENCE - POLL <= found <= hangs_at + 9


@given(st.floats(0.001, PATIENCE - 0.01), st.floats(0, 2))
def test_saturated_engine_is_never_called_hung(moves_every: float, phase: float) -> None:
    """However full its queue and slow its steps, as long as each is shorter than patience."""
    assert watch(Engine(1e9, deaf=False, moves_every=moves_every), phase, 200, Pulse(alive_at=0)) is None
