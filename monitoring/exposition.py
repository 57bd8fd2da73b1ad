"""Prometheus's text format, as a stranger wrote it. Pure.

Only the wanted names are read. What cannot be read is left out and never an error: one broken line of an engine must
not hide the others. All is bounded: the size of the text, a line, the number of series and of their labels.
"""

import math
import re
from collections.abc import Iterator, Set
from itertools import pairwise
from typing import NamedTuple

LARGEST = 8 * 1024 * 1024
LONGEST_LINE = 4096
MOST_SERIES = 20_000
MOST_LABELS = 32
LONGEST_VALUE = 256
HIGHEST = 1e18
"""what is beyond it, infinite or not a number, is no figure"""
_NAME = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*")
_BRACES = re.compile(r'\{((?:[^"}]|"(?:[^"\\]|\\.)*")*)\}')
_LABEL = re.compile(r'\s*([a-zA-Z_][a-zA-Z0-9_]*)\s*=\s*"((?:[^"\\]|\\.)*)"\s*(,|$)')
_ESCAPED = re.compile(r"\\(.)")
_MEANS = {"n": "\n", '"': '"', "\\": "\\"}


class Point(NamedTuple):
    """One line: a series and its value."""

    name: str
    labels: dict[str, str]
    value: float


def read(text: bytes, wanted: Set[str]) -> list[Point]:
    """The points of the wanted names, whose values are finite, in the order of the text."""
    found: list[Point] = []
    for line in text[:LARGEST].replace(b"\0", b"").decode("utf-8", "replace").split("\n"):
        point = _point(line, wanted)
        if point is not None:
            found.append(point)
            if len(found) >= MOST_SERIES:
                break
    return found


def _point(line: str, wanted: Set[str]) -> Point | None:
    name = _NAME.match(line)
    if name is None or name[0] not in wanted or len(line) > LONGEST_LINE:
        return None
    rest, labels = line[name.end() :].lstrip(), {}
    if rest.startswith("{"):
        inside = _BRACES.match(rest)
        read_labels = _labels(inside[1]) if inside else None
        if inside is None or read_labels is None:
            return None
        labels, rest = read_labels, rest[inside.end() :]
    words = rest.split()
    value = _number(words[0]) if 1 <= len(words) <= 2 else math.nan  # a time may follow
    return Point(name[0], labels, value) if abs(value) <= HIGHEST else None


def _labels(text: str) -> dict[str, str] | None:
    labels: dict[str, str] = {}
    place = 0
    while text[place:].strip():
        match = _LABEL.match(text, place)
        if match is None or match[1] in labels or len(labels) >= MOST_LABELS or len(match[2]) > LONGEST_VALUE:
            return None
        labels[match[1]] = _ESCAPED.sub(lambda it: _MEANS.get(it[1], it[0]), match[2])
        place = match.end()
    return labels


def _number(text: str) -> float:
    try:
        return math.nan if "_" in text else float(text)
    except ValueError:
        return math.nan


class Histogram(NamedTuple):
    """One histogram: finite upper bounds, and the count up to each and of all, growing."""

    labels: dict[str, str]
    bounds: tuple[float, ...]
    counts: tuple[float, ...]
    sum: float


def histograms(points: list[Point], name: str) -> Iterator[Histogram]:
    """Those of one name that are whole: buckets that grow, and the infinite one."""
    buckets: dict[tuple[tuple[str, str], ...], dict[float, float]] = {}
    sums: dict[tuple[tuple[str, str], ...], float] = {}
    for point in points:
        if point.name == f"{name}_bucket" and (bound := _number(point.labels.get("le", ""))) == bound:
            key = tuple(sorted((label, value) for label, value in point.labels.items() if label != "le"))
            buckets.setdefault(key, {})[bound] = point.value
        elif point.name == f"{name}_sum":
            sums[tuple(sorted(point.labels.items()))] = point.value
    for key, found in buckets.items():
        bounds = sorted(found)
        counts = tuple(found[bound] for bound in bounds)
        whole = len(bounds) > 1 and bounds[-1] == math.inf and -math.inf not in found
        if whole and counts[0] >= 0 and all(low <= high for low, high in pairwise(counts)):
            yield Histogram(dict(key), tuple(bounds[:-1]), counts, sums.get(key, 0.0))
