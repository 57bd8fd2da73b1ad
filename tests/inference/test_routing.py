"""Weights are exact and load is even."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inference import snapshot
from inference.contract.tables import ReplicaEntry, RouteEntry, RouteTable, TargetEntry
from inference.routing import Reason, pick, target_of_turn


def make_route(*targets: tuple[int, int]) -> snapshot.Route:
    """A route with a target for each (weight, number of replicas)."""
    entries = tuple(
        TargetEntry(
            f"d{t}", weight, "m", "m:1", "m", tuple(ReplicaEntry(f"d{t}-{r}", f"http://h{t}:{r + 1}") for r in range(n))
        )
        for t, (weight, n) in enumerate(targets)
    )
    return snapshot.build(RouteTable((RouteEntry("r", None, 1, None, entries),))).routes["r"]


@given(st.lists(st.integers(1, 60), min_size=2, max_size=5), st.integers(0, 10**6))
def test_every_cycle_holds_the_weights_exactly(weights: list[int], start: int) -> None:
    turns = [target_of_turn(weights, turn) for turn in range(start, start + sum(weights))]
    assert [turns.count(index) for index in range(len(weights))] == weights


@given(st.integers(0, 10**6))
def test_canary_of_ten_percent_never_gets_more(start: int) -> None:
    route = make_route((90, 1), (10, 1))
    picked = [pick(route, turn=turn, in_flight={}) for turn in range(start, start + 1000)]
    assert sum(choice is not None and choice.target.deployment == "d1" for choice in picked) == 100


def test_canary_is_spread_evenly() -> None:
    turns = [turn for turn in range(1000) if target_of_turn((9, 1), turn) == 1]
    assert {b - a for a, b in pairwise(turns)} == {10}


def test_least_in_flight_wins() -> None:
    choice = pick(make_route((1, 3)), turn=0, in_flight={"d0-0": 2, "d0-1": 1, "d0-2": 2})
    assert choice is not None
    assert (choice.replica.name, choice.reason) == ("d0-1", Reason.LEAST_IN_FLIGHT)


def test_equals_take_turns() -> None:
    route = make_route((1, 3))
    assert {choice.replica.name for turn in range(3) if (choice := pick(route, turn=turn, in_flight={}))} == {
        "d0-0",
        "d0-1",
        "d0-2",
    }


def test_tried_replica_is_not_asked_again() -> None:
    choice = pick(make_route((1, 2)), turn=0, in_flight={"d0-1": 5}, tried={"d0-0"})
    assert choice is not None
    assert (choice.replica.name, choice.reason) == ("d0-1", Reason.RETRY)


def test_empty_target_leaves_its_turn_to_others() -> None:
    choice = pick(make_route((9, 0), (1, 1)), turn=0, in_flight={})
    assert choice is not None
    assert (choice.replica.name, choice.reason) == ("d1-0", Reason.OTHER_TARGET)


@pytest.mark.parametrize("route", [make_route(), make_route((1, 0)), make_route((0, 1))])
def test_nobody_ready_is_nobody_picked(route: snapshot.Route) -> None:
    assert pick(route, turn=0, in_flight={}) is None


@pytest.mark.parametrize("url", ["", "ftp://h", "http://", "http://h:port", "http://h:99999"])
def test_unusable_url_leaves_the_others(url: str) -> None:
    target = TargetEntry("d", 1, "m", "m:1", "m", (ReplicaEntry("bad", url), ReplicaEntry("good", "http://h:1")))
    built = snapshot.build(RouteTable((RouteEntry("r", None, 1, None, (target,)),)))
    assert [replica.name for replica in built.routes["r"].targets[0].replicas] == ["good"]


def test_names_cannot_break_into_headers() -> None:
    target = TargetEntry("d", 1, "m", "m\r\nx: 1", "m", (ReplicaEntry("r\n", "http://h:1", "k\r\nx: y"),))
    built = snapshot.build(RouteTable((RouteEntry("r", None, 1, None, (target,)),))).routes["r"].targets[0]
    assert b"\n" not in built.header[1] + built.replicas[0].header[1]
    assert built.replicas[0].head.count(b"\n") == 2
