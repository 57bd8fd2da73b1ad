"""The rules that ship. They are laid down as ordinary rules when an instance is made, to be changed like any other."""

from dataclasses import dataclass, field
from typing import Any

from django.utils.translation import gettext_lazy as _

from controlplane.alerting.metrics import Aggregation, Comparison, Severity

MINUTE, HOUR = 60, 3600


@dataclass(frozen=True)
class Preset:
    """A rule of the whole platform. `advice` is what the message tells to do; it is translated where it is read."""

    slug: str
    name: Any
    metric: str
    aggregation: str
    comparison: str
    threshold: float
    severity: str
    advice: Any
    window_seconds: int = 5 * MINUTE
    for_seconds: int = 2 * MINUTE
    keep_firing_seconds: int = 5 * MINUTE
    min_requests: int = 0
    """fewer in the window are not judged: at night one failure of one wakes nobody"""
    promql: str = field(default="", repr=False)
    """the left side of the same condition for Prometheus, where it has the figures"""
    requests: str = field(default="", repr=False)
    """and how many requests it is made of, where `min_requests` asks for some"""


_A, _C, _S = Aggregation, Comparison, Severity

_ENOUGH = 20
_QUANTILE = "histogram_quantile(0.99, sum by (le, deployment) (rate({name}_bucket[5m])))"
_OBSERVED = "sum by (deployment) (increase({name}_count[5m]))"
_TTFT, _E2E = "vllm:time_to_first_token_seconds", "vllm:e2e_request_latency_seconds"
_REQUESTS = "signalbox_gateway_requests_total"
_JUDGED = f'sum by (model) (increase({_REQUESTS}{{status=~"2..|429|5.."}}[5m]))'


def _share(status: str) -> str:
    return f'100 * sum by (model) (increase({_REQUESTS}{{status=~"{status}"}}[5m])) / {_JUDGED}'


PRESETS: tuple[Preset, ...] = (
    Preset(
        "ttft-p99", _("Time to first token is long"), "time_to_first_token", _A.P99, _C.ABOVE, 5, _S.WARNING,
        _("Look at the queue and the KV cache of the deployment: when requests wait, scale it; when prompts are long,"
          " lower max-num-batched-tokens or set limits."),
        min_requests=_ENOUGH, promql=_QUANTILE.format(name=_TTFT), requests=_OBSERVED.format(name=_TTFT),
    ),
    Preset(
        "e2e-p99", _("End-to-end latency is long"), "end_to_end_latency", _A.P99, _C.ABOVE, 60, _S.WARNING,
        _("Compare it with the time to first token: if only this one grew, answers are long or the batch is too big."),
        min_requests=_ENOUGH, promql=_QUANTILE.format(name=_E2E), requests=_OBSERVED.format(name=_E2E),
    ),
    Preset(
        "failure-rate", _("Requests fail"), "failure_rate", _A.SHARE, _C.ABOVE, 1, _S.CRITICAL,
        _("Open the register, filter by the route and look at the statuses; then look at the replicas' history."),
        min_requests=_ENOUGH, promql=f"({_share('5..')})", requests=_JUDGED,
    ),
    Preset(
        "success-rate", _("Too few requests succeed"), "success_rate", _A.SHARE, _C.BELOW, 99, _S.WARNING,
        _("Refusals by limits count here: see whether a limit is too tight or a client too eager."),
        min_requests=_ENOUGH, promql=f"({_share('2..')})", requests=_JUDGED,
    ),
    Preset(
        "kv-cache", _("KV cache is nearly full"), "kv_cache_use", _A.AVG, _C.ABOVE, 85, _S.WARNING,
        _("Soon requests wait or are preempted: add a replica, or lower max-num-seqs or max-model-len."),
        promql="100 * (avg_over_time(vllm:kv_cache_usage_perc[5m]) or avg_over_time(vllm:gpu_cache_usage_perc[5m]))",
    ),
    Preset(
        "queue-length", _("Requests queue up in the engines"), "queue_length", _A.AVG, _C.ABOVE, 10, _S.WARNING,
        _("The engines get more than they can serve: scale the deployment or set limits."),
        promql="sum by (deployment) (avg_over_time(vllm:num_requests_waiting[5m]))",
    ),
    Preset(
        "replica-not-ready", _("Replicas are not ready"), "replicas_not_ready", _A.LAST, _C.ABOVE, 0, _S.CRITICAL,
        _("Open the deployment: each replica says why, and its log stands below."), for_seconds=5 * MINUTE,
        promql='sum(signalbox_replicas{state!~"ready|stopped|stopping"})',
    ),
    Preset(
        "replica-crash-loop", _("A replica is crash-looping"), "replica_crash_looping", _A.LAST, _C.AT_LEAST, 1,
        _S.CRITICAL, _("Read the last lines of its log on the deployment's page; mostly it is memory or arguments."),
        for_seconds=0, promql='signalbox_replicas{state="crash_loop"}',
    ),
    Preset(
        "register-lag", _("The register lags behind"), "register_lag", _A.MIN, _C.ABOVE, 1, _S.CRITICAL,
        _("PostgreSQL is slow or away: look at its disk and its connections. Requests wait for their record."),
        window_seconds=1 * MINUTE, for_seconds=1 * MINUTE,
        promql="max by (instance) (min_over_time(signalbox_audit_lag_seconds[1m]))",
    ),
    Preset(  # a number that never comes is waited for a minute, which is no fault
        "register-unsealed", _("The register is not being sealed"), "register_unsealed", _A.LAST, _C.ABOVE, 120,
        _S.CRITICAL, _("New entries are written and not yet protected: see whether the workers run and what they log."),
        for_seconds=1 * MINUTE, promql="signalbox_audit_unsealed_seconds",
    ),
    Preset(
        "register-unverified", _("The register fails its verification"), "register_unverified", _A.LAST, _C.ABOVE, 0,
        _S.CRITICAL, _("Somebody or something changed entries: manage.py verify_audit names the first bad row."),
        for_seconds=0, keep_firing_seconds=0, promql="signalbox_audit_verification_failed",
    ),
    Preset(
        "key-expiring", _("An API key expires soon"), "key_days_left", _A.LAST, _C.BELOW, 7, _S.INFO,
        _("Tell its owner, extend it or rotate it on its page."), for_seconds=0, keep_firing_seconds=0,
        promql="signalbox_api_key_days_left",
    ),
    Preset(
        "quota-nearly-used", _("A budget is nearly used up"), "quota_use", _A.LAST, _C.ABOVE, 90, _S.WARNING,
        _("Once it is used up, requests are refused until it renews: raise the budget or tell its users."),
        for_seconds=0, keep_firing_seconds=0, promql="signalbox_budget_used_percent",
    ),
    Preset(
        "gpu-use", _("GPU is at its limit"), "gpu_use", _A.AVG, _C.ABOVE, 95, _S.INFO,
        _("Busy is good; together with a growing queue it means: add a replica."),
        window_seconds=15 * MINUTE, for_seconds=15 * MINUTE, promql="avg_over_time(DCGM_FI_DEV_GPU_UTIL[15m])",
    ),
    Preset(
        "gpu-memory", _("GPU memory is nearly full"), "gpu_memory_use", _A.AVG, _C.ABOVE, 97, _S.INFO,
        _("vLLM takes most of it at its start (92 %), that is no fault; more than that leaves no room for anything."),
        for_seconds=15 * MINUTE,
        promql="100 * avg_over_time(DCGM_FI_DEV_FB_USED[5m]) / (avg_over_time(DCGM_FI_DEV_FB_USED[5m])"
               " + avg_over_time(DCGM_FI_DEV_FB_FREE[5m])"
               " + (avg_over_time(DCGM_FI_DEV_FB_RESERVED[5m]) or 0 * avg_over_time(DCGM_FI_DEV_FB_USED[5m])))",
    ),
    Preset(
        "gpu-temperature", _("GPU is hot"), "gpu_temperature", _A.MAX, _C.ABOVE, 85, _S.CRITICAL,
        _("It will soon slow down: look at fans, airflow and the room."),
        for_seconds=2 * MINUTE, promql="max_over_time(DCGM_FI_DEV_GPU_TEMP[5m])",
    ),
)  # fmt: skip
BY_SLUG = {preset.slug: preset for preset in PRESETS}


def name_of(thing: Any) -> str:
    """A rule's or an alert's name: a preset's in the reader's language, else as it was written."""
    preset = BY_SLUG.get(thing.preset)
    return str(preset.name) if preset else str(getattr(thing, "rule_name", "") or thing.name)


def advice_of(thing: Any) -> str:
    """What to do about it, in the same way."""
    preset = BY_SLUG.get(thing.preset)
    return str(preset.advice) if preset else str(thing.advice)
