"""Turns are exact."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from inference.rota import rota

WEIGHTS = st.lists(st.integers(1, 60), min_size=1, max_size=5).map(tuple)


@given(WEIGHTS, st.integers(0, 10**6))
def test_every_cycle_holds_the_weights_exactly(weights: tuple[int, ...], start: int) -> None:
    cycle = rota(weights)
    turns = [cycle.turn(number).whose for number in range(start, start + sum(weights))]
    assert [turns.count(index) for index in range(len(weights))] == list(weights)


@given(WEIGHTS)
def test_each_weight_counts_its_own_turns(weights: tuple[int, ...]) -> None:
    cycle = rota(weights)
    turns = [cycle.turn(number) for number in range(3 * sum(weights))]
    for index, weight in enumerate(weights):
        assert sorted(turn.nth for turn in turns if turn.whose == index) == list(range(3 * weight))


def test_canary_is_spread_evenly() -> None:
    turns = [number for number in range(1000) if rota((90, 10)).turn(number).whose == 1]
    assert {b - a for a, b in pairwise(turns)} == {10}
