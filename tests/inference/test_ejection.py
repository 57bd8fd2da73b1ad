"""Who fails goes out, for longer each time, and comes back through one request that goes well."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from inference.ejection import (
    LONGEST_EJECTION,
    PROBE_PATIENCE,
    SPREAD,
    TOLERATED,
    Ejected,
    Ejections,
    Fault,
    ejection_seconds,
)

AT_ONCE = [fault for fault in Fault if fault not in TOLERATED]


def fail(ejections: Ejections, fault: Fault = Fault.RESET, *, at: float, began: float | None = None) -> Ejected | None:
    """A request to ``r`` that ended then; without `began` it was short."""
    return ejections.failed("r", fault, began=at if began is None else began, now=at, chance=0)


@pytest.mark.parametrize("fault", AT_ONCE)
def test_lost_connection_ejects_at_once(fault: Fault) -> None:
    ejections = Ejections()
    assert fail(ejections, fault, at=100) == Ejected(fault, 1, 1)
    assert ejections.out(100.9) == {"r"}


@pytest.mark.parametrize("fault", TOLERATED)
def test_bad_answers_eject_only_in_a_row(fault: Fault) -> None:
    ejections = Ejections()
    for _ in range(3):
        for _ in range(TOLERATED[fault]):
            assert fail(ejections, fault, at=100) is None
        ejections.succeeded("r", began=100)
    assert not ejections.troubled
    told = [fail(ejections, fault, at=100) for _ in range(TOLERATED[fault] + 1)]
    assert told[-1] == Ejected(fault, 1, 1)


def test_each_ejection_in_a_row_lasts_twice_as_long() -> None:
    ejections, now, lasted = Ejections(), 0.0, []
    for _ in range(8):
        ejected = fail(ejections, at=now)
        assert ejected
        lasted.append(ejected.seconds)
        now += ejected.seconds
    assert lasted == [1, 2, 4, 8, 16, 32, 60, 60]


@given(st.integers(1, 10**9), st.floats(0, 1))
def test_chance_shortens_an_ejection_by_a_fifth_at_most(in_a_row: int, chance: float) -> None:
    whole = ejection_seconds(in_a_row, 0)
    assert whole * (1 - SPREAD) <= ejection_seconds(in_a_row, chance) <= whole <= LONGEST_EJECTION


def test_one_request_goes_first_when_the_time_has_come() -> None:
    ejections = Ejections()
    fail(ejections, at=100)
    assert ejections.out(101) == set()
    ejections.picked("r", 101)
    assert ejections.out(101) == {"r"}
    assert ejections.succeeded("r", began=101)
    assert ejections.out(101.1) == set()
    assert not ejections.troubled


def test_success_after_return_forgets_the_past() -> None:
    ejections = Ejections()
    for at in (100, 101, 103):
        fail(ejections, at=at)
    ejections.succeeded("r", began=107)
    assert fail(ejections, at=108) == Ejected(Fault.RESET, 1, 1)


def test_request_that_says_nothing_lets_the_next_one_see() -> None:
    ejections = Ejections()
    fail(ejections, at=100)
    ejections.picked("r", 101)
    ejections.given_up("r")
    assert ejections.out(101) == set()


def test_slow_first_request_is_joined_by_another() -> None:
    ejections = Ejections()
    fail(ejections, at=100)
    ejections.picked("r", 101)
    assert ejections.out(101 + PROBE_PATIENCE - 0.1) == {"r"}
    assert ejections.out(101 + PROBE_PATIENCE) == set()


@pytest.mark.parametrize("began", [99, 100.5])
def test_what_was_under_way_does_not_prolong_an_ejection(began: float) -> None:
    ejections = Ejections()
    fail(ejections, at=100)
    assert all(fail(ejections, at=100.6, began=began) is None for _ in range(30))
    assert ejections.out(101) == set()


def test_what_was_sent_before_an_ejection_does_not_end_it() -> None:
    ejections = Ejections()
    fail(ejections, at=100)
    assert not ejections.succeeded("r", began=99)
    assert ejections.out(100.5) == {"r"}


def test_request_that_had_nowhere_else_to_go_and_went_well_ends_it() -> None:
    ejections = Ejections()
    fail(ejections, at=100)
    assert ejections.succeeded("r", began=100.2)
    assert not ejections.troubled


def test_held_replica_stays_out_until_it_is_let_go() -> None:
    ejections = Ejections()
    assert ejections.hold("r", Fault.HUNG, now=100, chance=0) == Ejected(Fault.HUNG, 1, 1)
    assert ejections.hold("r", Fault.HUNG, now=101, chance=0) is None
    assert not ejections.succeeded("r", began=150)
    assert fail(ejections, at=150) is None
    assert ejections.out(1e9) == {"r"}
    assert ejections.let_go("r")
    assert not ejections.let_go("r")
    assert ejections.out(200) == set()


def test_replica_that_is_gone_is_forgotten() -> None:
    ejections = Ejections()
    fail(ejections, at=100)
    ejections.forget("r")
    assert (*ejections.troubled, *ejections.out(100), *ejections.names) == ()


NAMES = st.sampled_from(["a", "b", "c"])


class Life(RuleBasedStateMachine):
    """Requests come, go to whoever is not out, and end in any way; at most one at a time tries a returning replica."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0
        self.ejections = Ejections()
        self.under_way: list[tuple[str, float]] = []
        self.ejected_at: dict[str, tuple[float, Ejected]] = {}
        self.probed_at: dict[str, float] = {}

    @rule(seconds=st.floats(0, 70))
    def wait(self, seconds: float) -> None:
        self.now += seconds

    @rule(name=NAMES)
    def ask(self, name: str) -> None:
        out = self.ejections.out(self.now)
        if name in out:
            return
        if name in self.ejections.names:
            assert self.now - self.probed_at.get(name, -100) >= PROBE_PATIENCE
            self.probed_at[name] = self.now
        self.ejections.picked(name, self.now)
        self.under_way.append((name, self.now))

    @precondition(lambda self: self.under_way)
    @rule(data=st.data(), fault=st.sampled_from(Fault), chance=st.floats(0, 1))
    def fail(self, data: st.DataObject, fault: Fault, chance: float) -> None:
        name, began = self.under_way.pop(data.draw(st.integers(0, len(self.under_way) - 1)))
        ejected = self.ejections.failed(name, fault, began=began, now=self.now, chance=chance)
        if ejected is None:
            return
        before = self.ejected_at.get(name)
        assert ejected.in_a_row == (before[1].in_a_row + 1 if before else 1)
        self.ejected_at[name] = self.now, ejected
        self.probed_at.pop(name, None)

    @precondition(lambda self: self.under_way)
    @rule(data=st.data())
    def succeed(self, data: st.DataObject) -> None:
        name, began = self.under_way.pop(data.draw(st.integers(0, len(self.under_way) - 1)))
        ejected = self.ejected_at.get(name)
        back = self.ejections.succeeded(name, began)
        assert back == (ejected is not None and began >= ejected[0])
        if back:
            del self.ejected_at[name]
            self.probed_at.pop(name, None)

    @precondition(lambda self: self.under_way)
    @rule(data=st.data())
    def leave(self, data: st.DataObject) -> None:
        name, _ = self.under_way.pop(data.draw(st.integers(0, len(self.under_way) - 1)))
        self.ejections.given_up(name)
        self.probed_at.pop(name, None)

    @rule(name=NAMES)
    def forget(self, name: str) -> None:
        self.ejections.forget(name)
        self.ejected_at.pop(name, None)
        self.probed_at.pop(name, None)
        self.under_way = [(other, began) for other, began in self.under_way if other != name]

    @invariant()
    def out_is_who_was_ejected_a_short_while_ago(self) -> None:
        out = self.ejections.out(self.now)
        assert set(self.ejections.names) == set(self.ejected_at)
        assert out <= set(self.ejected_at)
        for name, (at, ejected) in self.ejected_at.items():
            assert (name in out) or self.now >= at + ejected.seconds


TestLife = Life.TestCase
