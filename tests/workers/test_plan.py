"""The plan: small cases by name, and a machine that does anything in any order."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from controlplane.lifecycle import ReplicaState, can_move
from tests.workers.specs import spec
from workers import verdict
from workers.backends.base import BackendError, Phase
from workers.backends.memory import MemoryBackend
from workers.plan import (
    LEAVE_SECONDS,
    START_SECONDS,
    UNRESPONSIVE_SECONDS,
    Desired,
    Observed,
    Order,
    Plan,
    Reason,
    Wanted,
    plan,
)
from workers.verdict import Health, Record

NOW = datetime(2026, 11, 1, tzinfo=UTC)
READY, STARTING, STOPPING = ReplicaState.READY, ReplicaState.STARTING, ReplicaState.STOPPING


def _ago(seconds: float) -> datetime:
    return NOW - timedelta(seconds=seconds)


def _seen(
    name: str = "a-0", state: ReplicaState = READY, phase: Phase | None = Phase.RUNNING, **fields: object
) -> Observed:
    values = {"spec_hash": "h", "since": _ago(10), "retry_at": None} | fields
    return Observed(name=name, state=state, phase=phase, **values)  # type: ignore[arg-type]


def _want(count: int = 1, spec_hash: str = "h", **fields: bool) -> Desired:
    return Desired([Wanted(f"a-{number}", spec_hash) for number in range(count)], **fields)


def test_missing_is_started() -> None:
    assert plan(_want(2), [], NOW).start == [Order("a-0", Reason.MISSING), Order("a-1", Reason.MISSING)]


def test_running_is_left_alone() -> None:
    assert plan(_want(), [_seen()], NOW) == Plan(wait=[Order("a-0", Reason.RUNNING)])


def test_exited_waits_for_its_time() -> None:
    dead = _seen(state=ReplicaState.BACKOFF, phase=Phase.EXITED, retry_at=_ago(-1))
    assert plan(_want(), [dead], NOW) == Plan(wait=[Order("a-0", Reason.BACKING_OFF)])
    assert plan(_want(), [dead], NOW + timedelta(seconds=2)).start == [Order("a-0", Reason.RESTART)]


def test_new_spec_need_not_wait() -> None:
    dead = _seen(state=ReplicaState.CRASH_LOOP, phase=Phase.EXITED, retry_at=_ago(-60), spec_hash="old")
    assert plan(_want(), [dead], NOW).start == [Order("a-0", Reason.SPEC_CHANGED)]


def test_ready_one_leaves_the_tables_before_it_is_stopped() -> None:
    assert plan(_want(0), [_seen()], NOW).leave == [Order("a-0", Reason.SURPLUS)]
    leaving = _seen(state=STOPPING, since=_ago(LEAVE_SECONDS / 2))
    assert plan(_want(0), [leaving], NOW).wait == [Order("a-0", Reason.LEAVING_ROTATION)]
    left = _seen(state=STOPPING, since=_ago(LEAVE_SECONDS * 2))
    assert plan(_want(0), [left], NOW).stop == [Order("a-0", Reason.SURPLUS)]


def test_one_that_never_served_is_stopped_at_once() -> None:
    assert plan(_want(0), [_seen(state=STARTING)], NOW).stop == [Order("a-0", Reason.SURPLUS)]


def test_ended_and_unwanted_is_forgotten() -> None:
    gone = _seen(state=STOPPING, phase=Phase.EXITED)
    assert plan(_want(0, deleted=True), [gone], NOW).forget == [Order("a-0", Reason.DEPLOYMENT_DELETED)]


def test_replaced_one_at_a_time() -> None:
    found = plan(_want(2, "new"), [_seen("a-0"), _seen("a-1")], NOW)
    assert found.leave == [Order("a-0", Reason.SPEC_CHANGED)]
    assert found.wait == [Order("a-1", Reason.OTHERS_NOT_READY)]


def test_ready_one_is_not_replaced_while_another_is_not_ready() -> None:
    found = plan(_want(2, "new"), [_seen("a-0"), _seen("a-1", STARTING, spec_hash="new")], NOW)
    assert found == Plan(wait=[Order("a-0", Reason.OTHERS_NOT_READY), Order("a-1", Reason.RUNNING)])


def test_one_that_does_not_serve_is_replaced_at_once() -> None:
    found = plan(_want(2, "new"), [_seen("a-0", STARTING), _seen("a-1")], NOW)
    assert found.stop == [Order("a-0", Reason.SPEC_CHANGED)]


@pytest.mark.parametrize(
    ("state", "seconds", "reason"),
    [
        (STARTING, START_SECONDS, Reason.START_TIMED_OUT),
        (ReplicaState.UNHEALTHY, UNRESPONSIVE_SECONDS, Reason.UNRESPONSIVE),
    ],
)
def test_stuck_engine_is_ended(state: ReplicaState, seconds: float, reason: Reason) -> None:
    stuck = _seen(state=state, since=_ago(seconds + 1))
    assert plan(_want(), [stuck], NOW).stop == [Order("a-0", reason)]
    assert not plan(_want(), [_seen(state=state, since=_ago(seconds - 1))], NOW).stop
    assert not plan(_want(restartable=False), [stuck], NOW).stop


def test_surplus_that_still_drains_takes_room() -> None:
    found = plan(_want(1), [_seen("a-1", STOPPING, Phase.STOPPING)], NOW)
    assert found.wait == [Order("a-1", Reason.DRAINING), Order("a-0", Reason.NO_ROOM_YET)]


class Fleet(RuleBasedStateMachine):
    """Orders, deaths, sickness and restarts of the worker in any order, on imagined engines."""

    @initialize()
    def begin(self) -> None:
        self.backend, self.now, self.count, self.version = MemoryBackend(slow_to_stop=True), NOW, 1, "v1"
        self.records: dict[str, Record] = {}
        self.since: dict[str, datetime] = {}
        self.sick: set[str] = set()

    @rule(count=st.integers(0, 4))
    def scale(self, count: int) -> None:
        self.count = count

    @rule(version=st.sampled_from(["v1", "v2", "v3"]))
    def change(self, version: str) -> None:
        self.version = version

    @rule(index=st.integers(0, 3))
    def die(self, index: int) -> None:
        name = f"a-{index}"
        if name in self.backend.replicas and self.backend.replicas[name].phase is not Phase.EXITED:
            self.backend.die(name)

    @rule(index=st.integers(0, 3))
    def vanish(self, index: int) -> None:
        self.backend.replicas.pop(f"a-{index}", None)

    @rule(index=st.integers(0, 3))
    def fall_sick(self, index: int) -> None:
        self.sick ^= {f"a-{index}"}

    @rule()
    def drained(self) -> None:
        self.backend.finish_stopping()

    @rule()
    def refuse_once(self) -> None:
        self.backend.fail = BackendError("not now", retry_after=3)

    @rule(seconds=st.sampled_from([0.1, 2, 30, 90]))
    def pass_(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)
        self._follow()
        orders = plan(self._desired(), self._observed(), self.now)
        self._check(orders)
        self._execute(orders)
        self.backend.fail = None

    @invariant()
    def never_more_than_ordered_are_alive_at_once(self) -> None:
        most = max(self.count, getattr(self, "alive_before", 0))
        alive = sum(one.phase is not Phase.EXITED for one in self.backend.replicas.values())
        assert alive <= most
        self.alive_before = alive

    def teardown(self) -> None:
        """Left alone, it converges to exactly what was ordered, all ready."""
        if not hasattr(self, "backend"):
            return
        self.backend.fail, self.sick = None, set()
        for _ in range(60):
            self.backend.finish_stopping()
            self.pass_(2)
        alive = {name: one.spec_hash for name, one in self.backend.replicas.items()}
        assert alive == {wish.name: wish.spec_hash for wish in self._desired().replicas}
        assert {self.records[name].state for name in alive} <= {READY}

    def _desired(self) -> Desired:
        wishes = [spec(name=f"a-{number}", deployment="a", source=self.version) for number in range(self.count)]
        return Desired([Wanted(one.name, one.spec_hash) for one in wishes])

    def _observed(self) -> list[Observed]:
        seen = self.backend.replicas
        return [
            Observed(
                name=name, state=one.state, phase=seen[name].phase if name in seen else None,
                spec_hash=seen[name].spec_hash if name in seen else one.spec_hash, since=self.since[name],
                retry_at=one.retry_at,
            )
            for name, one in self.records.items()
        ]  # fmt: skip

    def _follow(self) -> None:
        for name in {*self.records, *self.backend.replicas}:
            health = Health(ok=name not in self.sick, reason="no_answer")
            status = self.backend.replicas.get(name)
            self._set(verdict.follow(self.records.get(name, Record(name)), status, health, self.now, 0.5))

    def _set(self, new: Record) -> None:
        old = self.records.get(new.name, Record(new.name))
        assert can_move(old.state, new.state), (old, new)
        if old.state is not new.state or new.name not in self.since:
            self.since[new.name] = self.now
        self.records[new.name] = new

    def _check(self, orders: Plan) -> None:
        named = [
            one.name for kind in (orders.start, orders.leave, orders.stop, orders.forget, orders.wait) for one in kind
        ]
        assert len(named) == len(set(named)), "one order a replica"
        wanted = {wish.name: wish.spec_hash for wish in self._desired().replicas}
        for order in [*orders.leave, *orders.stop]:
            ready = self.records[order.name].state is READY
            same = wanted.get(order.name) == self.backend.replicas[order.name].spec_hash
            assert not (ready and same), f"{order} although it is ready and wanted"
        assert all(self.records[order.name].state is not READY for order in orders.stop), "out of the tables first"

    def _execute(self, orders: Plan) -> None:
        for order in orders.leave:
            self._set(verdict.leaving(self.records[order.name], order.reason))
        for order in [*orders.stop, *orders.forget]:
            self._end(order)
        for order in orders.start:
            self._start(order)

    def _end(self, order: Order) -> None:
        exited = order.name not in self.backend.replicas or self.backend.replicas[order.name].phase is Phase.EXITED
        try:
            self.backend.delete(order.name)
        except BackendError:
            return
        record = self.records[order.name]
        self._set(verdict.gone(record, order.reason) if exited else verdict.leaving(record, order.reason))

    def _start(self, order: Order) -> None:
        wish = spec(name=order.name, deployment="a", source=self.version)
        record = self.records.get(order.name, Record(order.name))
        try:
            self.backend.apply(wish)
        except BackendError as exc:
            self._set(verdict.refused(record, wish.spec_hash, exc, self.now))
        else:
            self._set(verdict.started(record, wish.spec_hash, order.reason, self.now))


Fleet.TestCase.settings = settings(max_examples=150, stateful_step_count=30, deadline=None)
TestFleet = Fleet.TestCase
