"""The arithmetic of attempts: never more than the policy allows, and a lock that ends."""

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from controlplane.throttle import ACCOUNT, ADDRESS, Policy, State, Verdict, attempt, take_back

NOW = datetime(2027, 1, 1, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
waits = st.lists(st.integers(0, 3600).map(lambda seconds: timedelta(seconds=seconds)), max_size=60)


def after(number: int, policy: Policy = ACCOUNT) -> State:
    """The state after so many attempts, each made as soon as it was let through."""
    state, now = State(), NOW
    for _ in range(number):
        now = max(now, state.locked_until or now)
        verdict, state = attempt(state, policy, now)
        assert verdict == Verdict.ADMITTED
    return state


def test_first_attempts_follow_each_other() -> None:
    assert after(ACCOUNT.free - 1).locked_until is None


def test_the_last_free_one_sets_the_lock() -> None:
    state = after(ACCOUNT.free)
    assert state.locked_until == NOW + ACCOUNT.first_lock
    assert attempt(state, ACCOUNT, NOW)[0] == Verdict.LOCKED


def test_locks_double_up_to_the_longest() -> None:
    locks = []
    for number in range(ACCOUNT.free, ACCOUNT.free + 8):
        state = after(number)
        assert state.locked_until is not None
        assert state.last_at is not None
        locks.append((state.locked_until - state.last_at) / MINUTE)
    assert locks == [1, 2, 4, 8, 15, 15, 15, 15]


def test_meeting_the_lock_makes_it_no_longer() -> None:
    state = after(ACCOUNT.free)
    for _ in range(100):
        _verdict, state = attempt(state, ACCOUNT, NOW)
    assert (state.locked_until, state.attempts, state.refused) == (NOW + ACCOUNT.first_lock, ACCOUNT.free, 100)


def test_everything_is_forgotten_after_a_day() -> None:
    verdict, state = attempt(after(50), ACCOUNT, NOW + timedelta(days=3))
    assert (verdict, state.attempts, state.locked_until) == (Verdict.ADMITTED, 1, None)


def test_success_of_one_leaves_the_failures_of_others() -> None:
    failed = after(7, ADDRESS)
    _verdict, state = attempt(failed, ADDRESS, NOW)
    assert take_back(state).attempts == failed.attempts
    assert take_back(State()).attempts == 0


@given(waits, st.sampled_from([ACCOUNT, ADDRESS]))
def test_no_more_pass_than_the_policy_allows(pauses: list[timedelta], policy: Policy) -> None:
    """Of failures at any rhythm: `free` at once, then one a lock, each lock at least as long as the one before."""
    state, now, passed = State(), NOW, []
    for pause in pauses:
        now += pause
        verdict, state = attempt(state, policy, now)
        if verdict == Verdict.ADMITTED:
            passed.append(now)
    for earlier, later in zip(passed[policy.free - 1 :], passed[policy.free :], strict=False):
        assert later - earlier >= policy.first_lock


@given(st.integers(1, 10_000))
def test_no_number_of_attempts_breaks_it(number: int) -> None:
    _verdict, state = attempt(State(number, NOW), ACCOUNT, NOW)
    assert state.locked_until is None or state.locked_until <= NOW + ACCOUNT.longest_lock
