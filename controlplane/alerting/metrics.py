"""What a rule may watch: each metric says what a value is of (a deployment, a replica, …), and in which unit."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from django.db.models import TextChoices
from django.utils.translation import gettext_lazy as _


class Of(StrEnum):
    """What one value of a metric is about; each has an alert of its own."""

    DEPLOYMENT = "deployment"
    REPLICA = "replica"
    ROUTE = "route"
    GPU = "gpu"
    GATEWAY = "gateway"
    API_KEY = "api_key"
    LIMIT = "limit"
    REGISTER = "register"


class Aggregation(TextChoices):
    """How the samples of a window become one value."""

    AVG = "avg", _("average")
    MIN = "min", _("lowest")
    MAX = "max", _("highest")
    LAST = "last", _("latest")
    P50 = "p50", _("P50")
    P90 = "p90", _("P90")
    P95 = "p95", _("P95")
    P99 = "p99", _("P99")
    SHARE = "share", _("share in the window")
    RATE = "rate", _("per second")


class Unit(StrEnum):
    SECONDS = "s"
    PERCENT = "%"
    CELSIUS = "°C"
    DAYS = "d"
    COUNT = ""
    PER_SECOND = "/s"


A = Aggregation
GAUGE = (A.AVG, A.MIN, A.MAX, A.LAST)
PERCENTILES = (A.P50, A.P90, A.P95, A.P99)
QUANTILE: dict[str, float] = {A.P50: 0.5, A.P90: 0.9, A.P95: 0.95, A.P99: 0.99}


@dataclass(frozen=True)
class Metric:
    """One thing that rules can watch."""

    name: str
    label: Any
    of: Of
    unit: Unit
    aggregations: tuple[Aggregation, ...]
    series: tuple[str, ...] = ()
    """names of the stored series that it is made of; none: it is read from the control plane's tables"""

    by_caller: bool = False
    """its series tell the project that called and the deployment that answered"""

    @property
    def counts_requests(self) -> bool:
        """Whether its values are shares or percentiles of requests, so that few of them tell little."""
        return not {A.SHARE, *PERCENTILES}.isdisjoint(self.aggregations)

    @property
    def scopes(self) -> frozenset[str]:
        """What its values can be narrowed to."""
        return _SCOPES[self.of] | (frozenset({"deployment"}) if self.by_caller else frozenset())


_SCOPES: dict[Of, frozenset[str]] = {
    Of.DEPLOYMENT: frozenset({"project", "deployment"}),
    Of.REPLICA: frozenset({"project", "deployment"}),
    Of.ROUTE: frozenset({"project", "route"}),
    Of.GPU: frozenset(),
    Of.GATEWAY: frozenset(),
    Of.API_KEY: frozenset({"project"}),
    Of.LIMIT: frozenset({"project", "route"}),
    Of.REGISTER: frozenset(),
}

_ALL = (
    Metric("time_to_first_token", _("time to first token, at the engine"), Of.DEPLOYMENT, Unit.SECONDS, PERCENTILES,
           ("engine_ttft",)),
    Metric("end_to_end_latency", _("end-to-end latency, at the engine"), Of.DEPLOYMENT, Unit.SECONDS, PERCENTILES,
           ("engine_e2e",)),
    Metric("inter_token_latency", _("inter-token latency"), Of.DEPLOYMENT, Unit.SECONDS, PERCENTILES, ("engine_itl",)),
    Metric("engine_queue_time", _("time in the engine's queue"), Of.DEPLOYMENT, Unit.SECONDS, PERCENTILES,
           ("engine_queue_time",)),
    Metric("queue_length", _("requests waiting in the engines' queues"), Of.DEPLOYMENT, Unit.COUNT, GAUGE,
           ("engine_waiting",)),
    Metric("kv_cache_use", _("KV cache in use"), Of.REPLICA, Unit.PERCENT, GAUGE, ("engine_kv_use",)),
    Metric("tokens_per_second", _("generated tokens a second"), Of.DEPLOYMENT, Unit.PER_SECOND, (A.RATE,),
           ("engine_generation_tokens",)),
    Metric("route_time_to_first_token", _("time to first token, at the gateway"), Of.ROUTE, Unit.SECONDS, PERCENTILES,
           ("gateway_ttft",)),
    Metric("route_latency", _("end-to-end latency, at the gateway"), Of.ROUTE, Unit.SECONDS, PERCENTILES,
           ("gateway_duration",)),
    Metric("failure_rate", _("failed requests"), Of.ROUTE, Unit.PERCENT, (A.SHARE,), ("gateway_requests",),
           by_caller=True),
    Metric("success_rate", _("successful requests"), Of.ROUTE, Unit.PERCENT, (A.SHARE,), ("gateway_requests",),
           by_caller=True),
    Metric("gpu_use", _("GPU use"), Of.GPU, Unit.PERCENT, GAUGE, ("gpu_use",)),
    Metric("gpu_memory_use", _("GPU memory in use"), Of.GPU, Unit.PERCENT, GAUGE, ("gpu_memory_use",)),
    Metric("gpu_temperature", _("GPU temperature"), Of.GPU, Unit.CELSIUS, GAUGE, ("gpu_temperature",)),
    Metric("replicas_not_ready", _("replicas that are not ready"), Of.DEPLOYMENT, Unit.COUNT, (A.LAST,)),
    Metric("replica_crash_looping", _("replica is crash-looping"), Of.REPLICA, Unit.COUNT, (A.LAST,)),
    Metric("register_lag", _("how long the register lags behind"), Of.GATEWAY, Unit.SECONDS, GAUGE,
           ("gateway_audit_lag",)),
    Metric("register_unsealed", _("age of the oldest register entry that no seal binds"), Of.REGISTER, Unit.SECONDS,
           (A.LAST,)),
    Metric("register_unverified", _("register entries that fail verification"), Of.REGISTER, Unit.COUNT, (A.LAST,)),
    Metric("key_days_left", _("days until an API key expires"), Of.API_KEY, Unit.DAYS, (A.LAST,)),
    Metric("quota_use", _("budget used"), Of.LIMIT, Unit.PERCENT, (A.LAST,)),
)  # fmt: skip
METRICS: dict[str, Metric] = {metric.name: metric for metric in _ALL}


class Comparison(TextChoices):
    """When the rule's condition holds: value, comparison, threshold."""

    ABOVE = ">", _("above")
    AT_LEAST = ">=", _("at least")
    BELOW = "<", _("below")
    AT_MOST = "<=", _("at most")


class Severity(TextChoices):
    """How bad it is, worst first."""

    CRITICAL = "critical", _("Critical")
    WARNING = "warning", _("Warning")
    INFO = "info", _("Info")


RANK: dict[str, int] = {Severity.CRITICAL: 2, Severity.WARNING: 1, Severity.INFO: 0}
"""the higher, the worse"""


def holds(value: float, comparison: str, threshold: float) -> bool:
    """Whether the rule's condition does."""
    match comparison:
        case Comparison.ABOVE:
            return value > threshold
        case Comparison.AT_LEAST:
            return value >= threshold
        case Comparison.BELOW:
            return value < threshold
    return value <= threshold


def written(value: float | None, unit: str) -> str:
    """A value with its unit, in as many digits as tell something: ``2.35 s``, ``87 %``."""
    if value is None:
        return "—"
    number = f"{value:.0f}" if abs(value) >= 100 or value == int(value) else f"{value:.3g}"
    return f"{number} {unit}".strip() if unit != Unit.PER_SECOND else f"{number}{unit}"
