"""Every way in which Redis goes and comes, one step at a time, with a minute of three seconds."""

import asyncio
import time

import pytest

from inference.contract.limits import LimitEntry
from inference.limits import Limiter, LimitError, LimitExceeded, LimitsUnavailable
from tests.waiting import eventually

from . import builds
from .conftest import MakeLimiter, Valkey

LIMIT = 8
RATE = (LimitEntry("acme", key="k1", requests_per_minute=LIMIT),)
SLOTS = (LimitEntry("acme", key="k2", concurrency=2),)


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    builds.quickened(monkeypatch.setattr)


async def admitted(limiter: Limiter, tries: int) -> int:
    count = 0
    for _ in range(tries):
        try:
            await limiter.admit(RATE)
            count += 1
        except LimitError:
            pass
    return count


async def open_again(limiter: Limiter, seconds: float = 30) -> float:
    """Seconds until limits can be checked again."""
    begun = time.monotonic()
    async with asyncio.timeout(seconds):
        while True:
            try:
                await limiter.admit(RATE)
            except LimitsUnavailable:
                await asyncio.sleep(0.01)
            except LimitExceeded:
                return time.monotonic() - begun
            else:
                return time.monotonic() - begun


async def test_a_first_start_opens_when_all_are_there(make_limiter: MakeLimiter) -> None:
    first = await make_limiter(gateways=2)
    with pytest.raises(LimitsUnavailable):
        await first.admit(RATE)
    second = await make_limiter(gateways=2)
    assert await admitted(first, 10) + await admitted(second, 10) == LIMIT


async def test_a_single_gateway_goes_on_without_redis(make_limiter: MakeLimiter, valkey: Valkey) -> None:
    limiter = await make_limiter()
    assert await admitted(limiter, 5) == 5
    valkey.kill()
    await eventually(lambda: not limiter.alive)
    assert await admitted(limiter, 10) == LIMIT - 5


async def test_what_one_admitted_alone_is_told_once(make_limiter: MakeLimiter, valkey: Valkey) -> None:
    limiter = await make_limiter()
    await admitted(limiter, 2)
    valkey.kill()
    await eventually(lambda: not limiter.alive)
    await admitted(limiter, 2)
    valkey.start()
    await eventually(lambda: limiter.alive)
    assert await admitted(limiter, 10) == LIMIT - 4


async def test_among_several_the_share_waits_for_the_window(make_limiter: MakeLimiter, valkey: Valkey) -> None:
    limiters = [await make_limiter(gateways=2, place=place) for place in range(2)]
    assert await admitted(limiters[0], 20) == LIMIT
    valkey.kill()
    begun = time.monotonic()
    await eventually(lambda: not any(limiter.alive for limiter in limiters))
    assert await admitted(limiters[1], 5) == 0
    assert await open_again(limiters[1]) > 3 - (time.monotonic() - begun)
    counts = [await admitted(limiter, 20) for limiter in limiters]
    assert counts == [LIMIT // 2, LIMIT // 2 - 1]


async def test_an_emptied_redis_learns_what_was_admitted(make_limiter: MakeLimiter, valkey: Valkey) -> None:
    limiters = [await make_limiter(gateways=2) for _ in range(2)]
    assert await admitted(limiters[0], 3) + await admitted(limiters[1], 3) == 6
    with valkey.client() as client:
        client.flushall()
    assert await open_again(limiters[0]) < 2.5
    assert await admitted(limiters[0], 10) + await admitted(limiters[1], 10) < LIMIT - 5


async def test_a_restarted_redis_learns_what_was_admitted(make_limiter: MakeLimiter, valkey: Valkey) -> None:
    limiters = [await make_limiter(gateways=2) for _ in range(2)]
    assert await admitted(limiters[0], 7) == 7
    valkey.kill()
    valkey.start()
    await eventually(lambda: all(limiter.alive for limiter in limiters))
    await open_again(limiters[1], 2.5)
    assert await admitted(limiters[1], 10) == 0


async def test_one_that_cannot_tell_keeps_the_rest_waiting(make_limiter: MakeLimiter, valkey: Valkey) -> None:
    first, second = [await make_limiter(gateways=2, place=place) for place in range(2)]
    await admitted(second, 8)
    second._pipeline.drop()
    second._task.cancel()  # type: ignore[union-attr]
    await second._pipeline.close()  # as if it had been killed
    valkey.kill()
    valkey.start()
    await eventually(lambda: first.alive)
    assert await open_again(first) > 2.5
    assert await admitted(first, 10) == LIMIT // 2 - 1  # the dead one's share is held back


async def test_one_cut_off_has_its_share_held_back(make_limiter: MakeLimiter) -> None:
    first, second = [await make_limiter(gateways=2, place=place) for place in range(2)]
    await second._pipeline.close()
    await asyncio.sleep(0.7)
    assert await admitted(first, 10) == LIMIT // 2


async def test_all_stopped_in_order_resume_at_once(make_limiter: MakeLimiter, valkey: Valkey) -> None:
    first = await make_limiter()
    await admitted(first, 5)
    await first.close()
    valkey.process.terminate()
    valkey.process.wait()
    valkey.start()
    assert await admitted(await make_limiter(), 10) == LIMIT - 5


async def test_a_crash_of_everything_waits_for_the_window(make_limiter: MakeLimiter, valkey: Valkey) -> None:
    first = await make_limiter()
    await admitted(first, 5)
    first._task.cancel()  # type: ignore[union-attr]
    await first._pipeline.close()
    valkey.kill()
    valkey.start()
    second = await make_limiter()
    with pytest.raises(LimitsUnavailable):
        await second.admit(RATE)
    assert await open_again(second) > 2.5


async def test_running_requests_keep_their_slots_over_a_wipe(make_limiter: MakeLimiter, valkey: Valkey) -> None:
    limiter = await make_limiter()
    leases = [await limiter.admit(SLOTS) for _ in range(2)]
    with valkey.client() as client:
        client.flushall()
    await asyncio.sleep(0.4)
    assert limiter.alive
    with pytest.raises(LimitExceeded):
        await limiter.admit(SLOTS)
    leases[0].settle()
    await limiter.admit(SLOTS)


async def test_a_settlement_survives_a_lost_connection(make_limiter: MakeLimiter) -> None:
    limiter = await make_limiter()
    lease = await limiter.admit(SLOTS)
    limiter._pipeline.drop()
    lease.settle()
    await eventually(lambda: limiter.alive)
    await asyncio.sleep(0.05)
    for _ in range(2):
        await limiter.admit(SLOTS)


async def test_a_long_request_keeps_its_slot(make_limiter: MakeLimiter) -> None:
    limiter = await make_limiter(lease=0.6)
    for _ in range(2):
        await limiter.admit(SLOTS)
    await asyncio.sleep(1.5)
    with pytest.raises(LimitExceeded):
        await limiter.admit(SLOTS)


async def test_a_forgotten_lease_is_let_go_at_last(make_limiter: MakeLimiter) -> None:
    limiter = await make_limiter(lease=0.3, longest_request=0.5)
    for _ in range(2):
        await limiter.admit(SLOTS)
    await asyncio.sleep(1.2)
    assert not limiter._live
    await limiter.admit(SLOTS)


async def test_a_lease_is_kept_as_long_as_some_request_may_run(make_limiter: MakeLimiter) -> None:
    limiter = await make_limiter(lease=0.3, longest_request=0.5)
    limiter.expect_requests_of(60)
    limiter.expect_requests_of(0.1)  # what began before is still expected
    for _ in range(2):
        await limiter.admit(SLOTS)
    await asyncio.sleep(1.2)
    with pytest.raises(LimitExceeded):
        await limiter.admit(SLOTS)
