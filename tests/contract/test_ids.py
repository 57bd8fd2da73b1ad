"""UUIDv7: valid, ordered, unique, whatever the clock does."""

import time
from concurrent.futures import ThreadPoolExecutor
from unittest.mock import patch

from inference.contract.ids import uuid7


def test_is_version_seven() -> None:
    made = uuid7()
    assert (made.version, made.variant) == (7, "specified in RFC 4122")


def test_carries_the_time() -> None:
    before = time.time_ns() // 1_000_000
    milliseconds = uuid7().int >> 80
    assert before - 1 <= milliseconds <= time.time_ns() // 1_000_000 + 1


def test_rises_strictly() -> None:
    made = [uuid7() for _ in range(10_000)]
    assert made == sorted(set(made))


def test_rises_when_the_clock_steps_back() -> None:
    first = uuid7()
    with patch("inference.contract.ids.time.time_ns", return_value=0):
        later = [uuid7() for _ in range(100)]
    assert [first, *later] == sorted({first, *later})


def test_threads_never_share_one() -> None:
    with ThreadPoolExecutor(8) as pool:
        made = list(pool.map(lambda _: uuid7(), range(4000)))
    assert len(set(made)) == 4000
