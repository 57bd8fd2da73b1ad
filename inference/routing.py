"""Which replica answers: weighted among a route's targets, least in flight inside a target. Pure.

`docs/routing.md` tells it from the outside. In short:

- A **rule** that a request falls under leaves only the rule's targets; weights hold among them.
- The **target** is the one whose turn it is, exactly by weight (`inference.rota`). Requests that fall under different
  rules have turns of their own (`lane`), or each would see gaps in the others' sequence.
- **Ejected** replicas are left out as long as the request can go anywhere else, to another target, too. When it cannot,
  they all count again: a guess is better than a refusal.
- Inside a target a replica with a **full KV cache** gets no new work while another one has room. The guard does not
  reach across targets, since that would break the weights.
- A **session** goes to the replica that its hash names (`inference.rendezvous`). The target, too, is drawn by hash and
  weight, not by turn, or the session's replica would change with each request. So for sessions weights are shares of
  all sessions and not exact counts, and they take no turns.
"""

from collections.abc import Callable, Hashable, Mapping, Sequence, Set
from enum import StrEnum
from types import MappingProxyType
from typing import NamedTuple

import msgspec

from inference.rendezvous import session_of, strongest, strongest_weighted
from inference.rota import Rota, rota
from inference.rules import Headers, first_fitting, first_value
from inference.snapshot import Group, Replica, Route, Target

KV_FULL = 0.85
"""of its KV cache in use: an engine that takes more work above this soon preempts what it has begun"""


class Reason(StrEnum):
    """Why this replica; unchanged in the log, the metric's label and the register. The first that is true is told."""

    ALL_EJECTED = "all_ejected"
    """nobody else is left, so ejected replicas count again"""
    RETRY = "retry"
    """another replica failed before its first byte"""
    RULE_FALLBACK = "rule_fallback"
    """the rule's own targets have no replica to offer, and the rule lets others take over"""
    OTHER_TARGET = "other_target"
    """the target whose turn it was has no replica to offer"""
    ALL_FULL = "all_full"
    """the KV caches of all candidates are full"""
    AFFINITY = "affinity"
    """the session's own replica"""
    AFFINITY_MOVED = "affinity_moved"
    """the session's own replica is ejected or full; this one is the next for it"""
    ONLY_REPLICA = "only_replica"
    KV_GUARD = "kv_guard"
    """least in flight among those whose KV cache has room; others have none"""
    AROUND_EJECTED = "around_ejected"
    """least in flight among those that are not ejected; others are"""
    LEAST_IN_FLIGHT = "least_in_flight"


class Choice(msgspec.Struct, frozen=True, gc=False):
    target: Target
    replica: Replica
    reason: Reason
    rule: int = 0
    """the number of the rule that the request fell under; 0: none"""


class Asked(NamedTuple):
    """What a request asks of the routing."""

    rule: int = 0
    """the number of the route's first rule that it falls under, counted from 1; 0: none"""
    session: bytes = b""
    """what stands for its session; empty: none"""


Load = tuple[Mapping[str, int], Mapping[str, float]]
"""of replicas by name: requests in flight, KV cache in use"""


class _Found(NamedTuple):
    """A target that has replicas to offer."""

    target: Target
    candidates: Sequence[Replica]
    nth: int
    """of the target's turns"""
    reason: Reason | None


def read_asked(route: Route, *, endpoint: str, prompt_tokens: Callable[[], int], headers: Headers) -> Asked | None:
    """What a request asks of the routing, if anything. On a route without rules and affinity this costs nothing.

    `endpoint` is one of `inference.contract.endpoints.NAMES`; header names come in lower case.
    """
    if not route.rules and not route.affinity_header:
        return None
    rule = first_fitting(route.rules, endpoint=endpoint, prompt_tokens=prompt_tokens, headers=headers)
    value = first_value(headers, route.affinity_header) if route.affinity_header else b""
    if rule is None and not value:
        return None
    return Asked(0 if rule is None else rule + 1, session_of(value) if value else b"")


def lane(route: Route, asked: Asked | None) -> Hashable:
    """What counts turns for such a request: those that choose among the same weights share one sequence."""
    return route.name if asked is None else (route.name, asked.rule, not asked.session)


def pick(
    route: Route,
    *,
    turn: int,
    in_flight: Mapping[str, int],
    kv_use: Mapping[str, float] = MappingProxyType({}),
    ejected: Set[str] = frozenset(),
    tried: Set[str] = frozenset(),
    asked: Asked | None = None,
) -> Choice | None:
    """The replica for a request, or None when none is left that was not `tried`.

    `turn` counts the requests of its `lane`. `in_flight` and `kv_use` (0 to 1; unknown is empty) belong to replicas by
    name, as do `ejected` and `tried`.
    """
    if asked is None:
        rule, session, groups = 0, b"", route.groups
    else:
        rule, session = asked
        groups = route.rule_groups[rule - 1] if rule else route.groups
    barred = tried | ejected if tried and ejected else tried or ejected
    group = groups[0]
    if group.whole and (not barred or barred.isdisjoint(group.names)):  # nearly always
        due, nth = _due(group.targets, group.rota, turn, session)
        target = group.targets[due]
        replica, reason = _choose(target, target.replicas, nth, session, (in_flight, kv_use))
        return Choice(target, replica, reason, rule)
    found, forced = _find(groups, turn, session, barred), None
    if found is None and ejected:
        found, forced = _find(groups, turn, session, tried), Reason.ALL_EJECTED
    if found is None:
        return None
    replica, reason = _choose(found.target, found.candidates, found.nth, session, (in_flight, kv_use))
    if tried:
        reason = Reason.RETRY
    return Choice(found.target, replica, forced or found.reason or reason, rule)


def _find(groups: Sequence[Group], turn: int, session: bytes, barred: Set[str]) -> _Found | None:
    """The target that gets the request: the first group that has anybody gives it."""
    for position, group in enumerate(groups):
        found = _find_target(group, turn, session, barred)
        if found is not None:
            return found._replace(reason=Reason.RULE_FALLBACK) if position else found
    return None


def _find_target(group: Group, turn: int, session: bytes, barred: Set[str]) -> _Found | None:
    left = [[replica for replica in target.replicas if replica.name not in barred] for target in group.targets]
    offers = [index for index, candidates in enumerate(left) if candidates]
    if not offers:
        return None
    due, nth = _due(group.targets, group.rota, turn, session)
    if len(offers) == len(left):
        return _Found(group.targets[due], left[due], nth, None)
    # Those that are left share all requests, not only those of the others: so their weights stay exact, too.
    targets = [group.targets[index] for index in offers]
    chosen, nth = _due(targets, rota(tuple(group.rota.weights[index] for index in offers)), turn, session)
    return _Found(targets[chosen], left[offers[chosen]], nth, None if due in offers else Reason.OTHER_TARGET)


def _due(targets: Sequence[Target], weights: Rota, turn: int, session: bytes) -> tuple[int, int]:
    """The target whose turn it is, and how many-th of its turns."""
    if len(targets) == 1:
        return 0, turn
    if session:
        return strongest_weighted(session, [target.deployment.encode() for target in targets], weights.weights), turn
    return weights.turn(turn)


def _choose(
    target: Target, candidates: Sequence[Replica], nth: int, session: bytes, load: Load
) -> tuple[Replica, Reason]:
    """The replica among a target's candidates."""
    everybody = target.replicas
    if len(everybody) == 1:
        return everybody[0], Reason.AFFINITY if session else Reason.ONLY_REPLICA
    in_flight, kv_use = load
    roomy = [replica for replica in candidates if kv_use.get(replica.name, 0.0) <= KV_FULL] if kv_use else candidates
    among = roomy or candidates
    if session:
        replica, reason = _of_session(session, everybody, among)
    else:
        replica, reason = _least_loaded(among, in_flight, nth), Reason.LEAST_IN_FLIGHT
        if len(candidates) < len(everybody):
            reason = Reason.AROUND_EJECTED
        if len(among) < len(candidates):
            reason = Reason.KV_GUARD
    return replica, reason if roomy else Reason.ALL_FULL


def _of_session(session: bytes, everybody: Sequence[Replica], among: Sequence[Replica]) -> tuple[Replica, Reason]:
    own = everybody[strongest(session, [replica.header[1] for replica in everybody])]
    if own in among:
        return own, Reason.AFFINITY
    return among[strongest(session, [replica.header[1] for replica in among])], Reason.AFFINITY_MOVED


def _least_loaded(replicas: Sequence[Replica], in_flight: Mapping[str, int], nth: int) -> Replica:
    """Equals take turns, or a quiet service would always ask the first."""
    start = nth % len(replicas)
    rotated = (*replicas[start:], *replicas[:start]) if start else replicas
    best, least = rotated[0], -1
    for replica in rotated:
        busy = in_flight.get(replica.name, 0)
        if not busy:
            return replica
        if least < 0 or busy < least:
            best, least = replica, busy
    return best
