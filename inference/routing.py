"""Which replica answers: weighted among a route's targets, least in flight inside a target. Pure."""

from collections.abc import Collection, Mapping, Sequence
from enum import StrEnum
from itertools import accumulate
from math import gcd
from typing import NamedTuple

from inference.snapshot import Replica, Route, Target

GOLDEN = 0.6180339887498949


class Reason(StrEnum):
    """Why this replica; unchanged in the log, the metric's label and the register."""

    ONLY_REPLICA = "only_replica"
    LEAST_IN_FLIGHT = "least_in_flight"
    OTHER_TARGET = "other_target"
    """the target whose turn it was has no replica to offer"""
    RETRY = "retry"
    """another replica failed before its first byte"""


class Choice(NamedTuple):
    target: Target
    replica: Replica
    reason: Reason


def pick(route: Route, *, turn: int, in_flight: Mapping[str, int], tried: Collection[str] = ()) -> Choice | None:
    """The replica for the route's `turn`-th request, or None when none is left that was not `tried`."""
    first = target_of_turn(route.weights, turn)
    for position in _from(first, len(route.targets)):
        target = route.targets[position]
        candidates = [replica for replica in target.replicas if replica.name not in tried] if tried else target.replicas
        if candidates:
            reason = _reason(target, tried=bool(tried), its_turn=position == first)
            return Choice(target, _least_loaded(candidates, in_flight, turn), reason)
    return None


def target_of_turn(weights: Sequence[int], turn: int) -> int:
    """The target whose turn it is.

    Exact, not random: in any `sum(weights)` consecutive turns each target comes exactly `weight` times, spread evenly
    by a golden-ratio step, so a canary of 10 % never gets more than that, not even for a short while.
    """
    if len(weights) < 2:
        return 0
    total = sum(weights)
    if not total:
        return 0
    slot = turn * _step(total) % total
    return next(index for index, edge in enumerate(accumulate(weights)) if slot < edge)


def _step(total: int) -> int:
    step = max(1, round(total * GOLDEN))
    while gcd(step, total) != 1:
        step += 1
    return step


def _from(first: int, count: int) -> Sequence[int]:
    return range(count) if first == 0 else [first, *range(first), *range(first + 1, count)]


def _least_loaded(replicas: Sequence[Replica], in_flight: Mapping[str, int], turn: int) -> Replica:
    if len(replicas) == 1:
        return replicas[0]
    start = turn % len(replicas)  # equals take turns, or a quiet service would always ask the first
    rotated = (*replicas[start:], *replicas[:start])
    return min(rotated, key=lambda replica: in_flight.get(replica.name, 0))


def _reason(target: Target, *, tried: bool, its_turn: bool) -> Reason:
    if tried:
        return Reason.RETRY
    if not its_turn:
        return Reason.OTHER_TARGET
    return Reason.ONLY_REPLICA if len(target.replicas) == 1 else Reason.LEAST_IN_FLIGHT
