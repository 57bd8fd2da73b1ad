"""Whose turn it is among weights: exact, not random, and spread evenly. Pure.

In any `total` consecutive turns each weight comes exactly as often as it says, so a canary of 10 % never gets more than
that, not even for a short while. The turns walk through the total in golden-ratio steps, which spreads them evenly.
"""

from bisect import bisect_right
from functools import lru_cache
from itertools import accumulate
from math import gcd
from typing import NamedTuple

import msgspec

GOLDEN = 0.6180339887498949


class Turn(NamedTuple):
    whose: int
    """index of the weight whose turn it is"""
    nth: int
    """how many-th of its own turns; each number comes once, though not in order"""


class Rota(msgspec.Struct, frozen=True):
    """A cycle of turns among weights that have no common divisor."""

    weights: tuple[int, ...]
    edges: tuple[int, ...]
    """where each weight's part of the cycle begins, and at last the cycle's length"""
    step: int

    def turn(self, number: int) -> Turn:
        """Whose turn the `number`-th is. Raises `ZeroDivisionError` when there is nothing to choose from."""
        total = self.edges[-1]
        cycle, place = divmod(number, total)
        slot = place * self.step % total
        index = bisect_right(self.edges, slot) - 1
        return Turn(index, cycle * self.weights[index] + slot - self.edges[index])


@lru_cache(maxsize=1024)
def rota(weights: tuple[int, ...]) -> Rota:
    """The cycle for these weights, each of which is above 0."""
    common = gcd(*weights) or 1
    reduced = tuple(weight // common for weight in weights)
    edges = tuple(accumulate(reduced, initial=0))
    return Rota(reduced, edges, _step(edges[-1]))


def _step(total: int) -> int:
    step = max(1, round(total * GOLDEN))
    while gcd(step, total) > 1:
        step += 1
    return step
