"""Who is picked, and why."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inference import snapshot
from inference.contract.tables import ReplicaEntry, RouteEntry, RouteTable, RuleEntry, TargetEntry
from inference.routing import KV_FULL, Asked, Choice, Reason, pick
from inference.snapshot import Route, Trust
from tests.inference.routes import make_route

R = Reason


def picked(route: Route, **given: object) -> tuple[str, Reason]:
    """The replica's name and the reason."""
    choice = pick(route, **({"turn": 0, "in_flight": {}} | given))  # type: ignore[arg-type]
    assert choice is not None
    return choice.replica.name, choice.reason


@given(st.integers(0, 10**6))
def test_canary_of_ten_percent_never_gets_more(start: int) -> None:
    route = make_route((90, 1), (10, 1))
    names = [picked(route, turn=turn)[0] for turn in range(start, start + 1000)]
    assert names.count("d1-0") == 100


def test_least_in_flight_wins() -> None:
    in_flight = {"d0-0": 2, "d0-1": 1, "d0-2": 2}
    assert picked(make_route((1, 3)), in_flight=in_flight) == ("d0-1", R.LEAST_IN_FLIGHT)


@pytest.mark.parametrize("weights", [(1,), (1, 1), (9, 1), (3, 2, 1)])
def test_equals_take_turns(weights: tuple[int, ...]) -> None:
    route = make_route(*((weight, 2) for weight in weights))
    names = [picked(route, turn=turn)[0] for turn in range(10 * sum(weights))]
    assert all(names.count(f"d{t}-0") == names.count(f"d{t}-1") == 5 * w for t, w in enumerate(weights))


def test_tried_replica_is_not_asked_again() -> None:
    assert picked(make_route((1, 2)), in_flight={"d0-1": 5}, tried={"d0-0"}) == ("d0-1", R.RETRY)


def test_empty_target_leaves_its_turn_to_others() -> None:
    assert picked(make_route((9, 0), (1, 1))) == ("d1-0", R.OTHER_TARGET)


@pytest.mark.parametrize("route", [make_route(), make_route((1, 0)), make_route((0, 1))])
def test_nobody_ready_is_nobody_picked(route: Route) -> None:
    assert pick(route, turn=0, in_flight={}) is None


# -- full KV caches


def test_full_replica_gets_no_new_work() -> None:
    assert picked(make_route((1, 2)), in_flight={"d0-1": 5}, kv_use={"d0-0": 0.86}) == ("d0-1", R.KV_GUARD)


def test_all_full_take_the_work_all_the_same() -> None:
    kv_use = {"d0-0": 0.9, "d0-1": 0.99}
    assert picked(make_route((1, 2)), in_flight={"d0-0": 5}, kv_use=kv_use) == ("d0-1", R.ALL_FULL)


def test_guard_does_not_break_the_weights() -> None:
    route = make_route((1, 2), (1, 2))
    assert picked(route, kv_use={"d0-0": 0.9, "d0-1": 0.9}) == ("d0-0", R.ALL_FULL)


# -- ejected replicas


def test_ejected_replica_is_left_out() -> None:
    assert picked(make_route((1, 2)), in_flight={"d0-1": 9}, ejected={"d0-0"}) == ("d0-1", R.AROUND_EJECTED)


def test_ejected_target_leaves_its_turn_to_others() -> None:
    assert picked(make_route((1, 1), (1, 1)), ejected={"d0-0"}) == ("d1-0", R.OTHER_TARGET)


def test_ejected_elsewhere_changes_nothing() -> None:
    assert picked(make_route((1, 2)), ejected={"other-0"}) == ("d0-0", R.LEAST_IN_FLIGHT)


def test_last_one_is_never_ejected() -> None:
    assert picked(make_route((1, 1)), ejected={"d0-0"}) == ("d0-0", R.ALL_EJECTED)


def test_ejected_one_is_better_than_none_after_a_failure() -> None:
    assert picked(make_route((1, 2)), ejected={"d0-0"}, tried={"d0-1"}) == ("d0-0", R.ALL_EJECTED)


@given(st.integers(0, 10**6))
def test_weights_stay_exact_among_those_that_are_left(start: int) -> None:
    route = make_route((60, 1), (30, 1), (10, 2))
    names = [picked(route, turn=turn, ejected={"d0-0", "d2-0"})[0] for turn in range(start, start + 400)]
    assert (names.count("d1-0"), names.count("d2-1")) == (300, 100)


# -- rules

LONG = RuleEntry(("d1", "d2"))


def test_rule_restricts_the_targets() -> None:
    route = make_route((90, 1), (8, 1), (2, 1), rules=[LONG])
    choices = [pick(route, turn=turn, in_flight={}, asked=Asked(1)) for turn in range(100)]
    names = [choice.replica.name for choice in choices if choice]
    assert (names.count("d1-0"), names.count("d2-0")) == (80, 20)
    assert {choice.rule for choice in choices if choice} == {1}


def test_rule_without_replicas_is_not_walked_around() -> None:
    assert pick(make_route((9, 1), (1, 0), rules=[LONG]), turn=0, in_flight={}, asked=Asked(1)) is None


def test_rule_may_let_others_take_over() -> None:
    route = make_route((9, 1), (1, 0), rules=[RuleEntry(("d1",), fallback=True)])
    assert picked(route, asked=Asked(1)) == ("d0-0", R.RULE_FALLBACK)


def test_rule_with_ejected_replicas_only_keeps_them() -> None:
    assert picked(make_route((9, 1), (1, 1), rules=[LONG]), asked=Asked(1), ejected={"d1-0"}) == (
        "d1-0",
        R.ALL_EJECTED,
    )


def test_healthy_others_take_over_for_ejected_ones() -> None:
    route = make_route((9, 1), (1, 1), rules=[RuleEntry(("d1",), fallback=True)])
    assert picked(route, asked=Asked(1), ejected={"d1-0"}) == ("d0-0", R.RULE_FALLBACK)


def test_rule_for_a_target_without_weight_leads_nowhere() -> None:
    assert pick(make_route((9, 1), (0, 1), rules=[LONG]), turn=0, in_flight={}, asked=Asked(1)) is None


# -- sessions

SESSIONS = st.binary(min_size=16, max_size=16)


@given(SESSIONS, st.integers(0, 100), st.dictionaries(st.sampled_from(["d0-0", "d0-1", "d1-0"]), st.integers(0, 9)))
def test_session_stays_whatever_the_turn_and_the_load(session: bytes, turn: int, in_flight: dict[str, int]) -> None:
    route = make_route((2, 2), (1, 1))
    name, reason = picked(route, turn=turn, in_flight=in_flight, asked=Asked(0, session))
    assert (name, reason) == (picked(route, asked=Asked(0, session))[0], R.AFFINITY)


@given(SESSIONS, st.sampled_from(["d0-0", "d0-1", "d0-2", "d1-0"]))
def test_only_sessions_of_an_ejected_replica_move(session: bytes, lost: str) -> None:
    route = make_route((2, 3), (1, 1))
    own, _ = picked(route, asked=Asked(0, session))
    now, reason = picked(route, asked=Asked(0, session), ejected={lost})
    assert (now == own) == (own != lost)
    if own == lost:
        assert reason is (R.OTHER_TARGET if lost == "d1-0" else R.AFFINITY_MOVED)


@given(SESSIONS)
def test_session_of_a_full_replica_moves_to_the_next(session: bytes) -> None:
    route = make_route((1, 3))
    own, _ = picked(route, asked=Asked(0, session))
    after_ejection, _ = picked(route, asked=Asked(0, session), ejected={own})
    assert picked(route, asked=Asked(0, session), kv_use={own: 0.9}) == (after_ejection, R.AFFINITY_MOVED)


@given(SESSIONS)
def test_session_stays_when_all_are_full(session: bytes) -> None:
    """Nobody has room, so nobody is better than the one that may still hold its prefix."""
    route = make_route((1, 3))
    own, _ = picked(route, asked=Asked(0, session))
    kv_use = {f"d0-{r}": 0.9 for r in range(3)}
    assert picked(route, asked=Asked(0, session), kv_use=kv_use) == (own, R.ALL_FULL)


# -- whatever the state

TARGETS = st.lists(st.tuples(st.integers(0, 5), st.integers(0, 3)), min_size=1, max_size=4)


@st.composite
def states(draw: st.DrawFn) -> tuple[Route, dict[str, object]]:
    """A route, and how its replicas fare."""
    targets = draw(TARGETS)
    rules = draw(
        st.lists(
            st.builds(
                RuleEntry, st.lists(st.sampled_from(["d0", "d1", "d2"]), min_size=1).map(tuple), fallback=st.booleans()
            ),
            max_size=2,
        )
    )
    names = st.sampled_from([f"d{t}-{r}" for t in range(4) for r in range(3)])
    return make_route(*targets, rules=rules), {
        "turn": draw(st.integers(0, 1000)),
        "in_flight": draw(st.dictionaries(names, st.integers(0, 5))),
        "kv_use": draw(st.dictionaries(names, st.floats(0, 1))),
        "ejected": draw(st.frozensets(names)),
        "tried": draw(st.frozensets(names, max_size=3)),
        "asked": draw(
            st.none() | st.builds(Asked, st.integers(0, len(rules)), st.just(b"") | st.binary(min_size=16, max_size=16))
        ),
    }


def reachable(route: Route, asked: Asked | None) -> dict[str, list[str]]:
    """Deployment -> replicas that such a request may go to."""
    groups = route.rule_groups[asked.rule - 1] if asked and asked.rule else route.groups
    return {target.deployment: [it.name for it in target.replicas] for group in groups for target in group.targets}


@given(states())
def test_somebody_is_picked_while_anybody_is_left(state: tuple[Route, dict[str, object]]) -> None:
    route, fares = state
    choice = pick(route, **fares)  # type: ignore[arg-type]
    left = {name for names in reachable(route, fares["asked"]).values() for name in names} - fares["tried"]  # type: ignore[arg-type,operator]
    assert (choice is not None) == bool(left)
    if choice is not None:
        assert choice.replica.name in left
        assert choice.replica in choice.target.replicas


@given(states())
def test_no_ejected_one_while_a_healthy_one_is_left(state: tuple[Route, dict[str, object]]) -> None:
    route, fares = state
    choice = pick(route, **fares)  # type: ignore[arg-type]
    if choice is None:
        return
    left = {name for names in reachable(route, fares["asked"]).values() for name in names} - fares["tried"]  # type: ignore[arg-type,operator]
    healthy = left - fares["ejected"]  # type: ignore[operator]
    assert (choice.replica.name in healthy) == bool(healthy)
    assert (choice.reason is R.ALL_EJECTED) == (not healthy)


@given(states())
def test_no_full_one_while_another_of_the_target_has_room(state: tuple[Route, dict[str, object]]) -> None:
    route, fares = state
    choice: Choice | None = pick(route, **fares)  # type: ignore[arg-type]
    if choice is None:
        return
    out = fares["tried"] if choice.reason is R.ALL_EJECTED else fares["tried"] | fares["ejected"]  # type: ignore[operator]
    candidates = {replica.name for replica in choice.target.replicas} - out  # type: ignore[operator]
    roomy = {name for name in candidates if fares["kv_use"].get(name, 0) <= KV_FULL}  # type: ignore[attr-defined]
    assert choice.replica.name in (roomy or candidates)


# -- what was published


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


def test_engines_of_unlike_trust_share_no_connections() -> None:
    replicas = (
        ReplicaEntry("a", "https://h:1"),
        ReplicaEntry("b", "https://h:1", tls_ca="PEM"),
        ReplicaEntry("c", "https://h:1", tls_verify=False),
        ReplicaEntry("d", "http://h:1", tls_ca="PEM"),
    )
    target = TargetEntry("d", 1, "m", "m:1", "m", replicas)
    built = snapshot.build(RouteTable((RouteEntry("r", None, 1, None, (target,)),)))
    assert len(built.addresses) == 4
    trusts = [replica.tls for replica in built.routes["r"].targets[0].replicas]
    assert trusts == [Trust(), Trust("PEM"), Trust(verify=False), None]
