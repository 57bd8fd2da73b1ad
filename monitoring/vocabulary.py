"""From the names that engines, gateways and exporters use to the series that we keep. Pure.

A series has the first of its names that the text tells: new names come first, renamed ones behind them.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any, NamedTuple, TypeVar

from monitoring.exposition import Point, histograms, read

Fields = dict[str, Any]
_T = TypeVar("_T")


class Reading(NamedTuple):
    """One series as it was read. `values`: the value, or of a histogram the sum and the count of each bucket."""

    metric: str
    values: tuple[float, ...]
    bounds: tuple[float, ...] = ()
    counts_up: bool = False
    deployment: str = ""
    project: str = ""
    route: str = ""
    part: str = ""


@dataclass(frozen=True)
class Told:
    """One series: its names, newest first, and how the lines of one name are brought together."""

    metric: str
    names: tuple[str, ...]
    kind: str = "gauge"
    """gauge, counter or histogram"""
    by: tuple[tuple[str, str], ...] = ()
    """(field of `Reading`, label): lines that differ in these are kept apart"""
    together: Callable[[list[float]], float] = sum


def _mean(values: list[float]) -> float:
    return sum(values) / len(values)


_ENGINE = (
    Told("engine_running", ("vllm:num_requests_running", "sglang:num_running_reqs")),
    Told("engine_waiting", ("vllm:num_requests_waiting", "sglang:num_queue_reqs")),
    Told("engine_kv_use", ("vllm:kv_cache_usage_perc", "vllm:gpu_cache_usage_perc", "sglang:token_usage"),
         together=_mean),
    Told("engine_prompt_tokens", ("vllm:prompt_tokens_total", "vllm:prompt_tokens", "sglang:prompt_tokens_total"),
         "counter"),
    Told("engine_generation_tokens",
         ("vllm:generation_tokens_total", "vllm:generation_tokens", "sglang:generation_tokens_total"), "counter"),
    Told("engine_finished", ("vllm:request_success_total", "vllm:request_success"), "counter",
         (("part", "finished_reason"),)),
    Told("engine_ttft", ("vllm:time_to_first_token_seconds", "sglang:time_to_first_token_seconds"), "histogram"),
    Told("engine_e2e", ("vllm:e2e_request_latency_seconds", "sglang:e2e_request_latency_seconds"), "histogram"),
    Told("engine_itl", ("vllm:inter_token_latency_seconds", "vllm:time_per_output_token_seconds",
                        "sglang:inter_token_latency_seconds"), "histogram"),
    Told("engine_queue_time", ("vllm:request_queue_time_seconds", "sglang:queue_time_seconds"), "histogram"),
)  # fmt: skip
_GATEWAY = (
    Told("gateway_requests", ("signalbox_gateway_requests_total",), "counter",
         (("route", "model"), ("deployment", "deployment"), ("project", "project"), ("part", "status"))),
    Told("gateway_ttft", ("signalbox_gateway_time_to_first_token_seconds",), "histogram", (("route", "model"),)),
    Told("gateway_duration", ("signalbox_gateway_request_duration_seconds",), "histogram", (("route", "model"),)),
    Told("gateway_audit_lag", ("signalbox_audit_lag_seconds",), together=max),
    Told("gateway_inflight", ("signalbox_gateway_inflight_requests",)),
)  # fmt: skip
_GPU_BY = (("part", "UUID"),)
_GPU = (
    Told("gpu_use", ("DCGM_FI_DEV_GPU_UTIL",), by=_GPU_BY, together=max),
    Told("gpu_temperature", ("DCGM_FI_DEV_GPU_TEMP",), by=_GPU_BY, together=max),
    Told("gpu_memory_used", ("DCGM_FI_DEV_FB_USED",), by=_GPU_BY, together=max),
    Told("gpu_memory_free", ("DCGM_FI_DEV_FB_FREE",), by=_GPU_BY, together=max),
    Told("gpu_memory_reserved", ("DCGM_FI_DEV_FB_RESERVED",), by=_GPU_BY, together=max),
)
TELL: dict[str, tuple[Told, ...]] = {"engine": _ENGINE, "gateway": _GATEWAY, "gpu": _GPU}
COUNTERS = frozenset(told.metric for kind in TELL.values() for told in kind if told.kind != "gauge")
_SUFFIXES = {"histogram": ("_bucket", "_sum"), "counter": ("",), "gauge": ("",)}
_WANTED = {
    kind: frozenset(name + suffix for told in tells for name in told.names for suffix in _SUFFIXES[told.kind])
    for kind, tells in TELL.items()
}
MOST_READINGS = 5_000
"""of one target"""


def readings(kind: str, text: bytes) -> list[Reading]:
    """All that a target of that kind tells: ``engine``, ``gateway`` or ``gpu``."""
    points = read(text, _WANTED[kind])
    told = {point.name for point in points}
    found: list[Reading] = []
    for series in TELL[kind]:
        if name := _name(series, told):
            found += _histograms(series, name, points) if series.kind == "histogram" else _plain(series, name, points)
    return (_gpu_memory(found) if kind == "gpu" else found)[:MOST_READINGS]


def _name(series: Told, told: set[str]) -> str | None:
    suffix = _SUFFIXES[series.kind][0]
    return next((name for name in series.names if name + suffix in told), None)


def _fields(series: Told, labels: dict[str, str]) -> Fields:
    return {field: labels.get(label, "")[: _LONGEST[field]] for field, label in series.by}


_LONGEST = {"route": 128, "deployment": 63, "project": 63, "part": 200}


def _plain(series: Told, name: str, points: list[Point]) -> list[Reading]:
    """Lines that differ only in what is not kept (ranks, versions, reasons) are one series."""
    mine = [(_fields(series, point.labels), point.value) for point in points if point.name == name]
    return [
        Reading(series.metric, (series.together(values),), counts_up=series.kind == "counter", **fields)
        for fields, values in _grouped(mine)
    ]


def _histograms(series: Told, name: str, points: list[Point]) -> list[Reading]:
    """Those of several ranks are added up, as far as they have the same bounds."""
    mine = [
        (_fields(series, it.labels) | {"": ",".join(map(repr, it.bounds))}, (it.bounds, (it.sum, *it.counts)))
        for it in histograms(points, name)
    ]
    found = []
    for fields, parts in _grouped(mine):
        fields.pop("")
        summed = tuple(map(sum, zip(*(values for _bounds, values in parts), strict=True)))
        found.append(Reading(series.metric, summed, parts[0][0], counts_up=True, **fields))
    return found


def _grouped(rows: Sequence[tuple[Fields, _T]]) -> Iterator[tuple[Fields, list[_T]]]:
    def key(row: tuple[Fields, _T]) -> tuple[str, ...]:
        return tuple(row[0].values())

    for _key, group in groupby(sorted(rows, key=key), key):
        together = list(group)
        yield together[0][0], [value for _fields, value in together]


def _gpu_memory(found: list[Reading]) -> list[Reading]:
    """Used of all, as a share; GPUs that do not tell their reserved memory have none."""
    told = {(it.metric, it.part): it.values[0] for it in found}
    shares = []
    for metric, part in [key for key in told if key[0] == "gpu_memory_used"]:
        used = told[metric, part]
        whole = used + told.get(("gpu_memory_free", part), 0.0) + told.get(("gpu_memory_reserved", part), 0.0)
        if whole > used:
            shares.append(Reading("gpu_memory_use", (100 * used / whole,), part=part))
    return [it for it in found if not it.metric.startswith("gpu_memory_")] + shares
