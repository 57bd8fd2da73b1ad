"""What an engine's ``/metrics`` says about its pulse: whether it makes steps, has work, how full its KV cache is. Pure.

Of the some 100 KB that vLLM tells, a few lines are read: found by name, not parsed in full, because this runs beside
requests. The names are those of vLLM (older ones too) and of SGLang.
"""

import math
import re
from collections.abc import Iterator
from typing import NamedTuple

STEPS = (
    b"vllm:iteration_tokens_total_count",
    b"vllm:generation_tokens_total",
    b"vllm:generation_tokens",
    b"vllm:prompt_tokens_total",
    b"vllm:prompt_tokens",
    b"sglang:generation_tokens_total",
    b"sglang:prompt_tokens_total",
)
"""counters one of which moves with each step of the engine"""
WORK = (
    b"vllm:num_requests_running",
    b"vllm:num_requests_waiting",
    b"sglang:num_running_reqs",
    b"sglang:num_queue_reqs",
)
KV_USE = (
    b"vllm:kv_cache_usage_perc",
    b"vllm:gpu_cache_usage_perc",
    b"sglang:token_usage",
)
"""each a share from 0 to 1; the first that is told counts"""
MOST_SERIES = 64
"""of one name; data-parallel engines tell one for each rank"""
LONGEST_LINE = 4096
_REST_OF_LINE = re.compile(rb'(?:\{(?:[^"{}\n]|"(?:[^"\\\n]|\\.)*")*\})?[ \t]+([-+0-9.eE]+)[ \t\r\n]')


class Sample(NamedTuple):
    """What was told at one moment."""

    steps: tuple[float, ...] = ()
    """counters; empty if the engine tells none"""
    working: bool = False
    """it has requests, running or waiting, whoever sent them"""
    kv_use: float | None = None
    """share of the KV cache in use, over all ranks"""


def read(text: bytes) -> Sample:
    """The sample in a text of Prometheus's format. Lines that cannot be read are as good as absent."""
    text = b"\n" + text + b"\n"
    steps = tuple(sum(values) for name in STEPS if (values := list(_values(text, name))))
    working = any(value > 0 for name in WORK for value in _values(text, name))
    return Sample(steps, working, _kv_use(text))


def _kv_use(text: bytes) -> float | None:
    for name in KV_USE:
        values = [value for value in _values(text, name) if 0 <= value <= 1]
        if values:
            return sum(values) / len(values)
    return None


def _values(text: bytes, name: bytes) -> Iterator[float]:
    """Of all series of that name; what is not finite is left out."""
    line, end = b"\n" + name, 0
    for _ in range(MOST_SERIES):
        start = text.find(line, end)
        if start < 0:
            return
        end = start + len(line)
        found = _REST_OF_LINE.match(text, end, end + LONGEST_LINE)
        value = _number(found[1]) if found else math.nan
        if math.isfinite(value):
            yield value


def _number(text: bytes) -> float:
    try:
        return float(text)
    except ValueError:
        return math.nan
