"""A few lines of an engine's metrics are read, whatever the rest may be."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inference.engine_metrics import KV_USE, MOST_SERIES, STEPS, WORK, Sample, read

VLLM = b"""# HELP python_gc_objects_collected_total Objects collected during gc
# TYPE python_gc_objects_collected_total counter
python_gc_objects_collected_total{generation="0"} 10263.0
# HELP vllm:num_requests_running Number of requests in model execution batches.
# TYPE vllm:num_requests_running gauge
vllm:num_requests_running{engine="0",model_name="smollm2"} 3.0
vllm:num_requests_waiting{engine="0",model_name="smollm2"} 0.0
vllm:num_requests_waiting_by_reason{engine="0",model_name="smollm2",reason="capacity"} 7.0
# HELP vllm:kv_cache_usage_perc KV-cache usage. 1 means 100 percent usage.
# TYPE vllm:kv_cache_usage_perc gauge
vllm:kv_cache_usage_perc{engine="0",model_name="smollm2"} 0.25
# TYPE vllm:prompt_tokens_total counter
vllm:prompt_tokens_total{engine="0",model_name="smollm2"} 512.0
vllm:prompt_tokens_created{engine="0",model_name="smollm2"} 1.7e+09
vllm:generation_tokens_total{engine="0",model_name="smollm2"} 64.0
vllm:iteration_tokens_total_bucket{engine="0",le="1.0",model_name="smollm2"} 60.0
vllm:iteration_tokens_total_count{engine="0",model_name="smollm2"} 65.0
vllm:iteration_tokens_total_sum{engine="0",model_name="smollm2"} 576.0
"""


def test_vllm_is_read() -> None:
    assert read(VLLM) == Sample((65, 64, 512), True, 0.25)


def test_older_vllm_is_read() -> None:
    text = b"vllm:gpu_cache_usage_perc 0.5\nvllm:generation_tokens_total 7\nvllm:num_requests_running 0"
    assert read(text) == Sample((7,), False, 0.5)


def test_sglang_is_read() -> None:
    text = (
        b'sglang:num_running_reqs{model_name="m"} 0\nsglang:num_queue_reqs{model_name="m"} 2\n'
        b'sglang:token_usage{model_name="m"} 0.125\nsglang:generation_tokens_total{model_name="m"} 1e3\n'
    )
    assert read(text) == Sample((1000,), True, 0.125)


def test_ranks_of_a_data_parallel_engine_count_together() -> None:
    text = b"".join(
        b'vllm:generation_tokens_total{engine="%d"} %d\nvllm:kv_cache_usage_perc{engine="%d"} 0.%d\n' % (n, n, n, n)
        for n in (2, 4)
    )
    found = read(text)
    assert found.steps == (6,)
    assert found.kv_use == pytest.approx(0.3)


@pytest.mark.parametrize(
    "text",
    [
        b"", b"\xff\x00", b"not found", b'{"detail":"Not Found"}',
        b"process_cpu_seconds_total 3\n", b"avllm:generation_tokens_total 3\n", b"vllm:generation_tokens_totals 3\n",
        b"# vllm:generation_tokens_total 3\n", b"vllm:generation_tokens_total NaN\n",
        b"vllm:generation_tokens_total +Inf\n", b"vllm:generation_tokens_total 1e999\n",
        b"vllm:generation_tokens_total 1.2.3\n", b"vllm:generation_tokens_total{\n", b"vllm:generation_tokens_total",
        b"vllm:kv_cache_usage_perc 1.5\n", b"vllm:kv_cache_usage_perc -0.1\n",
    ],
)  # fmt: skip
def test_what_cannot_be_read_is_absent(text: bytes) -> None:
    assert read(text) == Sample()


def test_label_values_may_hold_anything() -> None:
    text = b'vllm:generation_tokens_total{a="} 1 {",b="x\\"y\\\\",c="\xe4"} 5 1700000000\r\n'
    assert read(text).steps == (5,)


def test_endless_series_end() -> None:
    series = b"".join(b'vllm:generation_tokens_total{engine="%d"} 1\n' % n for n in range(10 * MOST_SERIES))
    assert read(series).steps == (MOST_SERIES,)


NAMES = st.sampled_from([*STEPS, *WORK, *KV_USE])
PIECES = st.one_of(
    NAMES, st.binary(max_size=20), st.sampled_from([b"\n", b" ", b"{", b"}", b'"', b"\\", b'a="b"', b"0.5", b"1e308"])
)


@given(st.lists(PIECES, max_size=200).map(b"".join))
def test_hostile_text_gives_a_sound_sample(text: bytes) -> None:
    found = read(text)
    assert all(isinstance(value, float) for value in found.steps)
    assert found.kv_use is None or 0 <= found.kv_use <= 1


@given(NAMES, st.floats(0, 1), st.binary().filter(lambda text: b"\n" not in text))
def test_any_line_before_and_after_changes_nothing(name: bytes, value: float, other: bytes) -> None:
    line = b"%b %r\n" % (name, value)
    assert read(b"x" + other + b"\n" + line + b"x" + other) == read(line) != Sample() or (name in WORK and not value)
