"""What engines tell, as vLLM writes it: names with ``vllm:``, counters with ``_total``, two labels."""

from bisect import bisect_left
from collections.abc import Iterable

BOUNDS = (0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0, 20.0, 40.0, 80.0)
LABELS = 'engine="0",model_name="smol"'


def histogram(name: str, values: Iterable[float], labels: str = LABELS) -> str:
    """All three parts of a histogram of these values."""
    counts, seen = [0] * (len(BOUNDS) + 1), list(values)
    for value in seen:
        counts[bisect_left(BOUNDS, value)] += 1
    lines, total = [f"# TYPE {name} histogram"], 0
    for bound, count in zip((*map(str, BOUNDS), "+Inf"), counts, strict=True):
        total += count
        lines.append(f'{name}_bucket{{{labels},le="{bound}"}} {float(total)}')
    return "\n".join([*lines, f"{name}_count{{{labels}}} {float(total)}", f"{name}_sum{{{labels}}} {sum(seen)}"]) + "\n"


def vllm(
    *, first_tokens: Iterable[float] = (), kv_use: float = 0.5, waiting: int = 0, tokens: int = 0, old: bool = False
) -> str:
    """The whole text; `old`: with the names of vLLM before 0.9.2 and 0.11."""
    firsts = list(first_tokens)
    kv = "gpu_cache_usage_perc" if old else "kv_cache_usage_perc"
    between = "time_per_output_token_seconds" if old else "inter_token_latency_seconds"
    noise = "".join(f'vllm:cache_config_info{{block_size="{n}",{LABELS}}} 1.0\n' for n in range(30))
    return (
        f"# HELP vllm:{kv} KV-cache usage. 1 means 100 percent usage.\n# TYPE vllm:{kv} gauge\n"
        f"vllm:{kv}{{{LABELS}}} {kv_use}\n"
        f"vllm:num_requests_running{{{LABELS}}} 3.0\nvllm:num_requests_waiting{{{LABELS}}} {float(waiting)}\n"
        f"vllm:generation_tokens_total{{{LABELS}}} {float(tokens)}\n"
        f'vllm:request_success_total{{{LABELS},finished_reason="stop"}} {float(len(firsts))}\n'
        + noise
        + histogram("vllm:time_to_first_token_seconds", firsts)
        + histogram("vllm:e2e_request_latency_seconds", [2 * it for it in firsts])
        + histogram(f"vllm:{between}", [it / 10 for it in firsts])
    )
