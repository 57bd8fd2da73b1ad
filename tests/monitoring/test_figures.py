"""Percentiles are those of Prometheus's histogram_quantile."""

from bisect import bisect_left

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitoring.figures import growth, monotonic, quantile
from tests.monitoring.engine_text import BOUNDS


@pytest.mark.parametrize(
    ("share", "counts", "expected"),
    [
        (0.5, [0, 10, 10], 1.5), (0.99, [10, 10, 10], 0.99), (0.5, [0, 0, 10], 2.0), (0.5, [0, 0, 0], None),
        (0.25, [5, 10, 20], 1.0), (1.0, [5, 10, 20], 2.0),
    ],
)  # fmt: skip
def test_within_a_bucket_values_are_evenly_spread(share: float, counts: list[float], expected: float | None) -> None:
    assert quantile(share, [1.0, 2.0], counts) == (pytest.approx(expected) if expected else expected)


@given(st.lists(st.floats(0.0001, 100), min_size=1, max_size=200), st.floats(0.01, 0.99))
def test_lies_in_the_bucket_of_the_true_value(values: list[float], share: float) -> None:
    counts = [float(sum(value <= bound for value in values)) for bound in BOUNDS] + [float(len(values))]
    true = sorted(values)[min(len(values) - 1, max(0, -(-int(share * len(values) * 10**6) // 10**6) - 1))]
    found = quantile(share, BOUNDS, counts)
    assert found is not None
    place = bisect_left(BOUNDS, true)
    assert found <= (BOUNDS[place] if place < len(BOUNDS) else BOUNDS[-1])


@given(st.lists(st.floats(0, 1e6), min_size=2, max_size=20))
def test_counts_never_fall(counts: list[float]) -> None:
    assert monotonic(counts) == sorted(monotonic(counts))


def test_growth_is_never_negative() -> None:
    assert growth([1, 5], [3, 4]) == [2, 0]
