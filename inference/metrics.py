"""The gateway's metrics. Labels are bounded: only names from the tables, never what a client sent.

With ``PROMETHEUS_MULTIPROC_DIR`` set before this import (as `inference.__main__` does), the values of all workers lie
in files of that directory and are summed when they are scraped.
"""

from bisect import bisect_left

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector

_LONG = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600)
_SHORT = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5)


class Timings(Histogram):
    """A histogram that takes observations by the bucketful."""

    def add(self, values: list[float], bounds: tuple[float, ...]) -> None:
        """`bounds` are this histogram's own, without the last one, which is infinite."""
        counts = [0] * (len(bounds) + 1)
        for value in values:
            counts[bisect_left(bounds, value)] += 1
        self._sum.inc(sum(values))
        for bucket, count in zip(self._buckets, counts, strict=True):
            if count:
                bucket.inc(count)


Labels = tuple[str, str, str, str, str, str]
"""those of `REQUESTS`"""


class Requests:
    """Ended requests that have all labels in common."""

    __slots__ = ("completion_tokens", "count", "durations", "first_tokens", "overheads", "prompt_tokens")

    def __init__(self) -> None:
        self.count = self.prompt_tokens = self.completion_tokens = 0
        self.durations: list[float] = []
        self.overheads: list[float] = []
        self.first_tokens: list[float] = []


class Tally:
    """Counts in plain numbers, which cost a tenth of a shared file's; `fold` hands them on a few times a second."""

    def __init__(self) -> None:
        self._counts: dict[tuple[Counter, tuple[str, ...]], float] = {}
        self._requests: dict[Labels, Requests] = {}
        self.inflight = 0

    def count(self, counter: Counter, labels: tuple[str, ...], by: float = 1) -> None:
        key = counter, labels
        self._counts[key] = self._counts.get(key, 0) + by

    def requests(self, labels: Labels) -> Requests:
        """Where requests with these labels are counted until the next `fold`."""
        found = self._requests.get(labels)
        if found is None:
            found = self._requests[labels] = Requests()
        return found

    def fold(self) -> None:
        """Add everything to the metrics."""
        counts, self._counts = self._counts, {}
        for (counter, labels), count in counts.items():
            counter.labels(*labels).inc(count)
        requests, self._requests = self._requests, {}
        for kind, ended in requests.items():
            _fold(kind, ended)
        INFLIGHT.set(self.inflight)


def _fold(labels: Labels, ended: Requests) -> None:
    REQUESTS.labels(*labels).inc(ended.count)
    model, project = labels[0], labels[3]
    for kind, tokens in (("prompt", ended.prompt_tokens), ("completion", ended.completion_tokens)):
        if tokens:
            TOKENS.labels(model, project, kind).inc(tokens)
    OVERHEAD.add(ended.overheads, _SHORT)
    if model:
        DURATION.labels(model).add(ended.durations, _LONG)
        FIRST_TOKEN.labels(model).add(ended.first_tokens, _LONG)


REQUESTS = Counter(
    "signalbox_gateway_requests_total",
    "Answered requests by HTTP status and the reason behind it.",
    ("model", "version", "deployment", "project", "status", "reason"),
)
DURATION = Timings(
    "signalbox_gateway_request_duration_seconds", "From request head to last byte.", ("model",), buckets=_LONG
)
FIRST_TOKEN = Timings(
    "signalbox_gateway_time_to_first_token_seconds",
    "From request head to the first streamed byte.",
    ("model",),
    buckets=_LONG,
)
OVERHEAD = Timings(
    "signalbox_gateway_overhead_seconds",
    "Time spent in the gateway itself before the client's first byte.",
    buckets=_SHORT,
)
INFLIGHT = Gauge("signalbox_gateway_inflight_requests", "Requests being served now.", multiprocess_mode="livesum")
TOKENS = Counter("signalbox_gateway_tokens_total", "Tokens as engines counted them.", ("model", "project", "kind"))
UPSTREAM_FAILURES = Counter(
    "signalbox_gateway_upstream_failures_total", "Failed attempts at engines.", ("deployment", "replica", "reason")
)
EJECTIONS = Counter(
    "signalbox_gateway_ejections_total",
    "Times that a replica went out of rotation.",
    ("deployment", "replica", "reason"),
)
EJECTED = Gauge(
    "signalbox_gateway_ejected_replicas",
    "Replicas out of rotation, as the worker sees it that sees most of them.",
    ("deployment",),
    multiprocess_mode="livemax",
)
ROUTED = Counter("signalbox_gateway_routed_total", "Routing decisions.", ("deployment", "reason"))
LIMITED = Counter("signalbox_gateway_limited_total", "Requests refused by a limit.", ("limit",))
MASKED = Counter(
    "signalbox_gateway_masked_total", "Pieces of personal data masked in kept bodies.", ("project", "kind")
)
BODIES = Counter(
    "signalbox_gateway_masked_bodies_total",
    "Kept bodies that masking went through: masked, or clean because nothing was found.",
    ("project", "reason"),
)
AUDIT_LAG = Gauge(
    "signalbox_audit_lag_seconds", "How long the oldest row of the last commit waited.", multiprocess_mode="livemax"
)
TALLY = Tally()
"""of this process"""


def exposition(directory: str) -> bytes:
    """All workers' metrics as Prometheus text, for the scraper."""
    registry = CollectorRegistry()
    MultiProcessCollector(registry, path=directory)  # type: ignore[no-untyped-call]
    return generate_latest(registry)
