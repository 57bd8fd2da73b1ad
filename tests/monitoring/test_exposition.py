"""Prometheus's text is read as what a stranger wrote: what is broken is left out, and nothing raises."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitoring.exposition import LONGEST_LINE, MOST_SERIES, Point, histograms, read
from monitoring.vocabulary import TELL, readings
from tests.monitoring.engine_text import BOUNDS, histogram, vllm

WANTED = frozenset({"a", "a_bucket", "a_sum"})


@pytest.mark.parametrize(
    ("line", "point"),
    [
        ("a 1", Point("a", {}, 1.0)),
        ("a 1 1700000000000", Point("a", {}, 1.0)),
        ('a{x="1",y="2"} 3.5', Point("a", {"x": "1", "y": "2"}, 3.5)),
        ('a { x = "1" , } 2', Point("a", {"x": "1"}, 2.0)),
        (r'a{x="q\"}\\\n"} 2', Point("a", {"x": 'q"}\\\n'}, 2.0)),
        ("a{} 2e3", Point("a", {}, 2000.0)),
    ],
)
def test_line_is_read(line: str, point: Point) -> None:
    assert read(line.encode(), WANTED) == [point]


@pytest.mark.parametrize(
    "line",
    [
        "b 1", "a", "a x", "a 1 2 3", "a NaN", "a +Inf", "a 1e999", "a 1_0", 'a{x="1} 2', "a{x=1} 2", 'a{x="1"',
        'a{x="1",x="2"} 3', 'a{="1"} 2', "# a 1", "a" * (LONGEST_LINE + 1), 'a{x="' + "1" * 300 + '"} 2', "á 1",
        'a{x="1"}} 2',
    ],
)  # fmt: skip
def test_what_is_broken_is_left_out(line: str) -> None:
    assert read(f"{line}\na 7".encode(), WANTED) == [Point("a", {}, 7.0)]


@given(st.binary(max_size=400))
def test_bytes_never_raise(text: bytes) -> None:
    for kind in TELL:
        readings(kind, b"vllm:num_requests_waiting" + text)
    assert all(math.isfinite(point.value) for point in read(text, WANTED))


@given(st.lists(st.sampled_from(["a{", 'x="', '"', "\\", "}", ",", "=", " 1", "\n", "a", "\0", "é", "{{", '",'])))
def test_marks_in_any_order_never_raise(parts: list[str]) -> None:
    read("".join(parts).encode(), WANTED)


def test_hostile_text_costs_no_time() -> None:
    """Quotes that never close, in as many lines as fit: no line is worth more than its length."""
    text = b"\n".join(b'a{x="' + b'\\"' * 2000 for _ in range(2000))
    assert read(text, WANTED) == []


def test_number_of_series_is_bounded() -> None:
    assert len(read(b"a 1\n" * (MOST_SERIES + 5), WANTED)) == MOST_SERIES


def test_nul_in_a_label_reaches_no_database() -> None:
    assert read(b'a{x="1\0"} 2', WANTED)[0].labels == {"x": "1"}


def test_histogram_is_read_whole() -> None:
    found = list(histograms(read(histogram("a", [0.3, 3, 300]).encode(), WANTED), "a"))
    assert [(it.bounds, it.counts[-2:], it.sum) for it in found] == [(BOUNDS, (2.0, 3.0), 303.3)]


@pytest.mark.parametrize("spoil", [("+Inf", "99"), (" 1.0", " 5.0"), ('le="0.001"', 'le="x"')])
def test_histogram_that_does_not_add_up_is_left_out(spoil: tuple[str, str]) -> None:
    text = histogram("a", [0.3, 3]).replace(*spoil, 1)
    found = list(histograms(read(text.encode(), WANTED), "a"))
    assert found == [] or spoil[0].startswith("le")


@pytest.mark.parametrize("old", [False, True])
def test_old_and_new_names_of_vllm_are_one_series(old: bool) -> None:
    told = {it.metric: it for it in readings("engine", vllm(first_tokens=[1, 2], kv_use=0.9, old=old).encode())}
    assert told["engine_kv_use"].values == (0.9,)
    assert told["engine_itl"].values[-1] == 2.0
    assert told["engine_ttft"].values[0] == 3.0
    assert told["engine_finished"].part == "stop"


def test_ranks_of_one_engine_are_added_up() -> None:
    text = "".join(
        f'vllm:num_requests_waiting{{engine="{rank}"}} 2\nvllm:kv_cache_usage_perc{{engine="{rank}"}} 0.{rank}\n'
        for rank in (2, 4)
    )
    told = {it.metric: it.values for it in readings("engine", text.encode())}
    assert told == {"engine_waiting": (4.0,), "engine_kv_use": (pytest.approx(0.3),)}


def test_gpu_memory_is_a_share_of_all() -> None:
    text = 'DCGM_FI_DEV_FB_USED{UUID="G"} 60\nDCGM_FI_DEV_FB_FREE{UUID="G"} 30\nDCGM_FI_DEV_FB_RESERVED{UUID="G"} 10\n'
    assert [(it.metric, it.values, it.part) for it in readings("gpu", text.encode())] == [
        ("gpu_memory_use", (60,), "G")
    ]
