"""The real scripts on a real Valkey against the model, over random histories with a clock that the test sets."""

import socket
from typing import Any
from urllib.parse import urlsplit

import hiredis
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from inference.contract import limits as contract
from inference.contract.limits import LimitEntry
from inference.limits import scripts
from inference.limits.plan import Plan, asking, ended
from inference.redis_pipeline import encode

from . import builds
from .conftest import Valkey, worst_window
from .model import LEASE_MS, Model, Reservation

KEY = LimitEntry("acme", key="k1", requests_per_minute=4, tokens_per_minute=100, concurrency=3)
PAIR = LimitEntry("acme", key="k1", route="chat", requests_per_minute=3)
PROJECT = LimitEntry("acme", tokens_per_minute=150, concurrency=4)
ROUTE = LimitEntry("-", route="chat", shared=True, requests_per_minute=6, tokens_per_minute=120)
OTHER = LimitEntry("beta", key="k2", concurrency=1)
COMBINATIONS = [(KEY,), (KEY, PAIR, PROJECT, ROUTE), (PROJECT, ROUTE), (OTHER,), (OTHER, ROUTE)]
GENERATION = "g1"
Known = tuple[str, Reservation, int, int]
"""a lease, what the model knows of it, the tick and the tokens of its reservation"""


class Wire:
    """The gateway's own bytes, sent and answered one at a time."""

    def __init__(self, url: str) -> None:
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.connect(urlsplit(url).path)

    def __call__(self, payload: bytes) -> Any:
        reader = hiredis.Reader()
        self._socket.sendall(payload)
        while (reply := reader.gets()) is False:
            reader.feed(self._socket.recv(65536))
        assert not isinstance(reply, hiredis.ReplyError), reply
        return reply

    def close(self) -> None:
        self._socket.close()


class Histories(RuleBasedStateMachine):
    url = ""

    @initialize(at=st.integers(1_700_000_000_000, 1_700_000_001_500))
    def begin(self, at: int) -> None:
        self.wire, self.model, self.now, self.count = Wire(self.url), Model(), at, 0
        self.plans = {entries: Plan(entries, 1, LEASE_MS) for entries in COMBINATIONS}
        self.known: list[Known] = []
        self.settled: dict[str, int] = {}
        self.wire(encode("FLUSHALL"))
        self.wire(encode("HSET", contract.STATE, "generation", GENERATION, "open", 0, "slots", 0))
        self.wire(encode("ZADD", contract.members_key(GENERATION), 10**15, "me"))
        self.set_clock(0)

    def teardown(self) -> None:
        if hasattr(self, "wire"):
            self.wire.close()

    def set_clock(self, by: int) -> None:
        self.now += by
        self.wire(encode("SET", builds.CLOCK_KEY, self.now))

    @rule(by=st.one_of(st.integers(0, 1500), st.sampled_from([29_999, 30_000, 58_999, 60_000, 61_000, 200_000])))
    def wait(self, by: int) -> None:
        self.set_clock(by)

    @rule(entries=st.sampled_from(COMBINATIONS), tokens=st.integers(0, 130), times=st.integers(1, 3))
    def admit(self, entries: tuple[LimitEntry, ...], tokens: int, times: int) -> None:
        self.turn(entries, [], [tokens] * times)

    @rule(
        data=st.data(), tokens=st.lists(st.integers(0, 130), max_size=4), used=st.lists(st.integers(0, 160), max_size=3)
    )
    def settle_and_admit(self, data: st.DataObject, tokens: list[int], used: list[int]) -> None:
        """Some requests of one combination end, others begin: one turn."""
        entries = data.draw(st.sampled_from(COMBINATIONS))
        own = [known for known in self.known if known[1].entries == entries]
        self.turn(
            entries,
            [(known, count) for known, count in zip(data.draw(st.permutations(own)), used, strict=False)],
            tokens,
        )

    def turn(self, entries: tuple[LimitEntry, ...], over: list[tuple[Known, int]], tokens: list[int]) -> None:
        leases = [f"l{self.count + number}" for number in range(len(tokens))]
        self.count += len(tokens)
        settled = [self.end(known, used) for known, used in over]
        payload = self.plans[entries].turn(GENERATION, settled, list(map(asking, leases, tokens)))
        result, at, absent, *decisions = self.wire(payload)
        assert (result, at, absent) == (1, self.now, 0)
        for lease, cost, decision in zip(leases, tokens, decisions, strict=True):
            self.check(entries, lease, cost, decision)

    def check(self, entries: tuple[LimitEntry, ...], lease: str, tokens: int, decision: list[int]) -> None:
        if self.model.fits(entries, tokens, self.now):
            reservation = Reservation(self.now, entries, tokens)
            self.model.all.append(reservation)
            self.known.append((lease, reservation, self.now // 1000, tokens))
            assert decision[0] == 1
            self.check_used(entries, decision[1:])
        else:
            assert decision[0] == 0
            self.check_used(entries, decision[3:])
            self.check_wait(entries, tokens, decision)

    def check_used(self, entries: tuple[LimitEntry, ...], told: list[int]) -> None:
        """Exact, but that lapsed slots may still be in the sum while there is room for more."""
        for bound, said, true in zip(self.plans[entries].bounds, told, self.model.used(entries, self.now), strict=True):
            assert said >= true if bound.dimension == "concurrency" else said == true, bound

    def check_wait(self, entries: tuple[LimitEntry, ...], tokens: int, decision: list[int]) -> None:
        """The binding rate has no room a moment before the time told, and has room then."""
        bound = self.plans[entries].bounds[decision[1] - 1]
        if bound.dimension == "concurrency":
            return
        alone = next(e for e in entries if e.name == bound.name)
        alone = LimitEntry(alone.project, alone.key, alone.route, alone.shared, **{bound.dimension.value: bound.limit})
        cost = tokens if bound.dimension == "tokens_per_minute" else 0
        assert (decision[2] == -1) == (cost > bound.limit)
        if decision[2] >= 0:
            assert self.model.fits((alone,), cost, self.now + decision[2])
            assert not self.model.fits((alone,), cost, self.now + decision[2] - 1)

    @rule(data=st.data(), used=st.integers(0, 160), again=st.booleans())
    def settle(self, data: st.DataObject, used: int, again: bool) -> None:
        if self.known:
            known = data.draw(st.sampled_from(self.known))
            for _ in range(1 + again):
                self.turn(known[1].entries, [(known, used)], [])

    def end(self, known: Known, used: int) -> bytes:
        lease, reservation, tick, reserved = known
        if reservation.at + LEASE_MS <= self.now and self.plans[reservation.entries].slots:
            used = max(used, reserved)  # once a slot has lapsed, a refund may be lost: long requests renew theirs
        change = self.settled.setdefault(lease, used - reserved)  # what is sent again is the same
        plan = self.plans[reservation.entries]
        if plan.metered or plan.slots:
            self.model.settle(reservation, used, self.now)
        return ended(lease, tick, change)

    @invariant()
    def no_sliding_minute_holds_more(self) -> None:
        if hasattr(self, "model"):
            for entry in (KEY, PAIR, ROUTE):
                moments = [r.at for r in self.model.all if entry in r.entries]
                assert worst_window(moments, 60_000) <= (entry.requests_per_minute or 0)


def test_scripts_follow_the_model(valkey: Valkey, monkeypatch: pytest.MonkeyPatch) -> None:
    builds.with_set_clock(monkeypatch.setattr)
    Histories.url = valkey.url
    wire = Wire(valkey.url)
    for script in scripts.LOADED:
        wire(encode("SCRIPT", "LOAD", script.text))
    wire.close()
    run_state_machine_as_test(
        Histories,
        settings=settings(
            max_examples=40, stateful_step_count=50, deadline=None, suppress_health_check=list(HealthCheck)
        ),
    )
