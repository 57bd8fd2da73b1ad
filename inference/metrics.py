"""The gateway's metrics. Labels are bounded: only names from the tables, never what a client sent.

With ``PROMETHEUS_MULTIPROC_DIR`` set before this import (as `inference.__main__` does), the values of all workers lie
in files of that directory and are summed when they are scraped.
"""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector

_LONG = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600)
_SHORT = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5)

REQUESTS = Counter(
    "signalbox_gateway_requests_total",
    "Answered requests by HTTP status and the reason behind it.",
    ("model", "version", "deployment", "project", "status", "reason"),
)
DURATION = Histogram(
    "signalbox_gateway_request_duration_seconds", "From request head to last byte.", ("model",), buckets=_LONG
)
FIRST_TOKEN = Histogram(
    "signalbox_gateway_time_to_first_token_seconds",
    "From request head to the first streamed byte.",
    ("model",),
    buckets=_LONG,
)
OVERHEAD = Histogram(
    "signalbox_gateway_overhead_seconds",
    "Time spent in the gateway itself before the client's first byte.",
    buckets=_SHORT,
)
INFLIGHT = Gauge("signalbox_gateway_inflight_requests", "Requests being served now.", multiprocess_mode="livesum")
TOKENS = Counter("signalbox_gateway_tokens_total", "Tokens as engines counted them.", ("model", "project", "kind"))
UPSTREAM_FAILURES = Counter(
    "signalbox_gateway_upstream_failures_total", "Failed attempts at engines.", ("deployment", "replica", "reason")
)
ROUTED = Counter("signalbox_gateway_routed_total", "Routing decisions.", ("deployment", "reason"))
LIMITED = Counter("signalbox_gateway_limited_total", "Requests refused by a limit.", ("limit",))
AUDIT_LAG = Gauge(
    "signalbox_audit_lag_seconds", "How long the oldest row of the last commit waited.", multiprocess_mode="livemax"
)


def exposition(directory: str) -> bytes:
    """All workers' metrics as Prometheus text, for the scraper."""
    registry = CollectorRegistry()
    MultiProcessCollector(registry, path=directory)  # type: ignore[no-untyped-call]
    return generate_latest(registry)
