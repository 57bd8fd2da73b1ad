"""The shipped rules as Prometheus judges them, by promtool's own unit tests: what fires, and what must not."""

import json
import subprocess
from pathlib import Path

import pytest
from django.conf import settings

from tests.deploy.test_prometheus import program

RULES = Path(settings.BASE_DIR) / "deploy" / "prometheus" / "rules.yml"
Series = dict[str, str]


def counted(by_minute: int, **labels: str) -> Series:
    """A counter of the gateway that grows so fast, read each 15 s for half an hour."""
    told = ",".join(f'{name}="{value}"' for name, value in {"model": "r", **labels}.items())
    return {f"signalbox_gateway_requests_total{{{told}}}": f"0+{by_minute / 4}x120"}


def first_tokens(by_minute: int, *, slow: bool) -> Series:
    name, grows = "vllm:time_to_first_token_seconds", f"0+{by_minute / 4}x120"
    fast = "0x120" if slow else grows
    return {
        f'{name}_bucket{{deployment="d",le="1.0"}}': fast, f'{name}_bucket{{deployment="d",le="10.0"}}': grows,
        f'{name}_bucket{{deployment="d",le="+Inf"}}': grows, f'{name}_count{{deployment="d"}}': grows,
    }  # fmt: skip


def firing(tmp_path: Path, series: Series, *, at: str = "20m") -> list[str]:
    """Names of the alerts that fire then: promtool tells them where it expects none."""
    test = {
        "rule_files": [str(RULES)],
        "evaluation_interval": "15s",
        "tests": [{
            "interval": "15s",
            "input_series": [{"series": name, "values": values} for name, values in series.items()],
            "promql_expr_test": [{"expr": 'count by (alertname) (ALERTS{alertstate="firing"})', "eval_time": at}],
        }],
    }  # fmt: skip
    path = tmp_path / "test.yml"
    path.write_text(json.dumps(test))  # YAML takes JSON
    done = subprocess.run(
        [program("promtool"), "test", "rules", str(path)], capture_output=True, text=True, check=False
    )  # fmt: skip
    told = done.stdout + done.stderr
    names = [part.split('"')[1] for part in told.split("alertname=")[1:]]
    assert names or done.returncode == 0, told
    return sorted(names)


@pytest.mark.parametrize(
    ("series", "fires"),
    [
        (counted(100, status="200") | counted(4, status="502"), ["SignalboxFailureRate", "SignalboxSuccessRate"]),
        (counted(100, status="200") | counted(0, status="502"), []),
        (counted(100, status="200") | counted(8, status="429"), ["SignalboxSuccessRate"]),
        (counted(2, status="502"), []),
        (first_tokens(100, slow=True), ["SignalboxTtftP99"]),
        (first_tokens(100, slow=False), []),
        (first_tokens(2, slow=True), []),
    ],
    ids=["failures", "none", "refusals", "few failures", "slow", "fast", "few slow"],
)
def test_rules_of_requests(tmp_path: Path, series: Series, fires: list[str]) -> None:
    assert firing(tmp_path, series) == fires


@pytest.mark.parametrize(
    ("series", "fires"),
    [
        ({"signalbox_audit_unsealed_seconds": "1x120"}, []),
        ({"signalbox_audit_unsealed_seconds": "61x120"}, []),
        ({"signalbox_audit_unsealed_seconds": "0+15x120"}, ["SignalboxRegisterUnsealed"]),
        ({'signalbox_audit_lag_seconds{instance="g"}': "3x120"}, ["SignalboxRegisterLag"]),
        ({'signalbox_audit_lag_seconds{instance="g"}': "0x77 3 0x40"}, []),
        ({"signalbox_audit_verification_failed": "1x120"}, ["SignalboxRegisterUnverified"]),
        ({'vllm:kv_cache_usage_perc{deployment="d"}': "0.9x120"}, ["SignalboxKvCache"]),
        ({'vllm:gpu_cache_usage_perc{deployment="d"}': "0.9x120"}, ["SignalboxKvCache"]),
        ({'DCGM_FI_DEV_FB_USED{gpu="0"}': "980x120", 'DCGM_FI_DEV_FB_FREE{gpu="0"}': "20x120"}, ["SignalboxGpuMemory"]),
        ({'DCGM_FI_DEV_FB_USED{gpu="0"}': "980x120", 'DCGM_FI_DEV_FB_FREE{gpu="0"}': "20x120",
          'DCGM_FI_DEV_FB_RESERVED{gpu="0"}': "100x120"}, []),
        ({'DCGM_FI_DEV_GPU_TEMP{gpu="0"}': "86x120"}, ["SignalboxGpuTemperature"]),
        ({'DCGM_FI_DEV_GPU_TEMP{gpu="0"}': "85x120"}, []),
        ({'signalbox_replicas{state="crash_loop"}': "1x120"},
         ["SignalboxReplicaCrashLoop", "SignalboxReplicaNotReady"]),
        ({"signalbox_api_key_days_left": "6x120"}, ["SignalboxKeyExpiring"]),
        ({"signalbox_budget_used_percent": "91x120"}, ["SignalboxQuotaNearlyUsed"]),
    ],
)  # fmt: skip
def test_other_rules(tmp_path: Path, series: Series, fires: list[str]) -> None:
    assert firing(tmp_path, series, at="25m") == fires
