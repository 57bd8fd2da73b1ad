"""L1, L3 and L4 with real processes: nothing exceeds the limit in any sliding window, whatever dies."""

import time

from .conftest import Gateways, Valkey, worst_window
from .gateway import RATE, SLOTS

WINDOW_MS = 60 * 50
"""A minute of the quick build."""


def moments(results: list[list[tuple[int, bool]]]) -> list[int]:
    return sorted(at for result in results for at, _ in result)


def test_four_processes_share_one_window(gateways: Gateways) -> None:
    gateways.start(4, seconds=6.6)
    at = moments(gateways.results())
    assert worst_window(at, WINDOW_MS) <= RATE
    assert len(at) >= 2 * RATE


def test_killed_and_emptied_under_load(gateways: Gateways, valkey: Valkey) -> None:
    gateways.start(3, seconds=8.5)
    for pause in (0.5, 0.05, 1.0):
        time.sleep(0.7)
        valkey.kill()
        time.sleep(pause)
        valkey.start()
    with valkey.client() as client:
        for _ in range(4):
            time.sleep(0.6)
            client.flushall()
    results = gateways.results()
    assert worst_window(moments(results), WINDOW_MS) <= RATE
    assert len(moments(results)) > RATE  # it goes on, too


def test_dead_for_longer_than_a_window(gateways: Gateways, valkey: Valkey) -> None:
    gateways.start(3, seconds=9)
    time.sleep(0.6)
    valkey.kill()
    time.sleep(5)
    valkey.start()
    results = gateways.results()
    alone = [at for result in results for at, alive in result if not alive]
    assert worst_window(moments(results), WINDOW_MS) <= RATE
    assert len(alone) == RATE  # each its share, and all shares together the limit


def test_killed_gateways_lose_their_slots(gateways: Gateways, valkey: Valkey) -> None:
    gateways.start(2, seconds=20, kind="slots")
    time.sleep(0.5)
    with valkey.client() as client:
        (key,) = client.scan_iter("signalbox:limits:*:s:*")
        assert client.zcard(key) == SLOTS
        for process in gateways.processes:
            process.kill()
        time.sleep(1.1)
        assert client.zcard(key) == 0
