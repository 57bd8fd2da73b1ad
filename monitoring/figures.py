"""Percentiles and shares from what counters grew by. Pure; percentiles as Prometheus's ``histogram_quantile``."""

from collections.abc import Sequence


def growth(first: Sequence[float], last: Sequence[float]) -> list[float]:
    """What each value of a counter grew by between two samples; their resets are taken out already."""
    return [max(0.0, after - before) for before, after in zip(first, last, strict=True)]


def quantile(share: float, bounds: Sequence[float], counts: Sequence[float]) -> float | None:
    """The value below which that share lies. `counts` are cumulative, the infinite bucket last.

    Within a bucket values are taken as evenly spread; beyond the last bound nothing is known but that bound. None when
    nothing was counted.
    """
    total = counts[-1]
    if total <= 0 or not bounds:
        return None
    rank = share * total
    place = next((place for place, count in enumerate(counts) if count >= rank), len(counts) - 1)
    if place >= len(bounds):
        return bounds[-1]
    if place == 0 and bounds[0] <= 0:
        return bounds[0]
    low, before = (bounds[place - 1], counts[place - 1]) if place else (0.0, 0.0)
    within = counts[place] - before
    return low + (bounds[place] - low) * ((rank - before) / within) if within > 0 else low


def added(parts: Sequence[Sequence[float]]) -> list[float]:
    """Histograms of equal bounds, added up."""
    return [sum(values) for values in zip(*parts, strict=True)]


def monotonic(counts: Sequence[float]) -> list[float]:
    """Cumulative counts that never fall: a bucket may have been read a moment before another."""
    found, highest = [], 0.0
    for count in counts:
        highest = max(highest, count)
        found.append(highest)
    return found
