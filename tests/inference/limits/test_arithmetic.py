import pytest
from hypothesis import given
from hypothesis import strategies as st

from inference.limits import arithmetic
from inference.limits.arithmetic import Gauge

limits, processes, names = st.integers(0, 10_000), st.integers(1, 64), st.text(max_size=20)


@given(limits, processes, names)
def test_shares_add_up_to_the_limit(limit: int, gateways: int, name: str) -> None:
    assert sum(arithmetic.share(limit, gateways, place, name) for place in range(gateways)) == limit


@given(limits, processes, st.data(), names)
def test_what_is_held_back_covers_the_absent(limit: int, gateways: int, data: st.DataObject, name: str) -> None:
    absent = data.draw(st.sets(st.integers(0, gateways - 1)))
    taken = sum(arithmetic.share(limit, gateways, place, name) for place in absent)
    assert arithmetic.held_back(limit, gateways, len(absent)) + taken <= limit


@given(limits, processes, names)
def test_without_a_place_a_share_is_the_floor(limit: int, gateways: int, name: str) -> None:
    assert arithmetic.share(limit, gateways, None, name) == limit // gateways


@pytest.mark.parametrize(
    ("milliseconds", "text"),
    [(-5, "0ms"), (0, "0ms"), (12, "12ms"), (1000, "1s"), (59_500, "59.5s"), (60_001, "1m0.001s"), (360_000, "6m0s")],
)
def test_durations_read_like_openai(milliseconds: int, text: str) -> None:
    assert arithmetic.duration(milliseconds) == text


@pytest.mark.parametrize(("milliseconds", "seconds"), [(0, 1), (1, 1), (1000, 1), (1001, 2), (60_999, 61)])
def test_retry_after_rounds_up(milliseconds: int, seconds: int) -> None:
    assert arithmetic.whole_seconds(milliseconds) == seconds


@given(st.integers(0, 10**13))
def test_an_admission_is_remembered_for_a_minute(now: int) -> None:
    assert 60_000 < arithmetic.until_forgotten(now) <= 61_000


def test_headers_tell_of_both_kinds() -> None:
    headers = arithmetic.headers(Gauge(5, 3, 1000), Gauge(100, -7, 0))
    assert dict(headers) == {
        b"x-ratelimit-limit-requests": b"5",
        b"x-ratelimit-remaining-requests": b"3",
        b"x-ratelimit-reset-requests": b"1s",
        b"x-ratelimit-limit-tokens": b"100",
        b"x-ratelimit-remaining-tokens": b"0",
        b"x-ratelimit-reset-tokens": b"0ms",
    }


def test_nothing_limited_says_nothing() -> None:
    assert arithmetic.headers(None, None) == []
