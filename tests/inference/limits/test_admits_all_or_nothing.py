import asyncio

import pytest

from inference.contract.limits import LimitEntry
from inference.limits import Dimension, Lease, Limiter, LimitExceeded

from .conftest import MakeLimiter, Valkey

KEY = LimitEntry("acme", key="k1", requests_per_minute=10, tokens_per_minute=1000, concurrency=5)
PROJECT = LimitEntry("acme", requests_per_minute=3)
ROUTE = LimitEntry("-", route="chat", shared=True, tokens_per_minute=400)


async def refused(limiter: Limiter, *limits: LimitEntry, tokens: int = 0) -> LimitExceeded:
    with pytest.raises(LimitExceeded) as caught:
        await limiter.admit(limits, tokens)
    return caught.value


async def remaining(limiter: Limiter, *limits: LimitEntry, tokens: int = 0) -> dict[str, str]:
    headers = (await limiter.admit(limits, tokens)).headers
    return {name.decode().removeprefix("x-ratelimit-"): value.decode() for name, value in headers}


async def test_no_limits_ask_nobody() -> None:
    lease = await Limiter("unix:///nowhere").admit((LimitEntry("acme"),), 10)
    lease.settle(5)
    assert lease.headers == []


async def test_exactly_the_limit_of_many_at_once(make_limiter: MakeLimiter) -> None:
    limiter = await make_limiter()
    results = await asyncio.gather(*(limiter.admit((KEY, PROJECT)) for _ in range(50)), return_exceptions=True)
    assert sum(isinstance(result, Lease) for result in results) == 3


async def test_one_refusing_limit_takes_from_none(make_limiter: MakeLimiter) -> None:
    limiter = await make_limiter()
    for _ in range(3):
        await limiter.admit((KEY, PROJECT), 10)
    for _ in range(20):
        assert (await refused(limiter, KEY, PROJECT, tokens=10)).subject == PROJECT.name
    left = await remaining(limiter, KEY)
    assert (left["remaining-requests"], left["remaining-tokens"]) == ("6", "970")


async def test_the_binding_limit_is_told(make_limiter: MakeLimiter) -> None:
    limiter = await make_limiter()
    await limiter.admit((KEY, ROUTE), 390)
    error = await refused(limiter, KEY, ROUTE, tokens=20)
    headers = dict(error.headers)
    assert (error.dimension, error.subject) == (Dimension.TOKENS, ROUTE.name)
    assert (headers[b"x-ratelimit-limit-tokens"], headers[b"x-ratelimit-remaining-tokens"]) == (b"400", b"10")
    assert 59 <= error.retry_after <= 61
    assert headers[b"retry-after"] == str(error.retry_after).encode()


async def test_more_than_the_whole_limit_never_fits(make_limiter: MakeLimiter) -> None:
    error = await refused(await make_limiter(), ROUTE, tokens=401)
    assert error.useless_to_repeat
    assert "max_tokens" in str(error)


async def test_settling_refunds_once(make_limiter: MakeLimiter) -> None:
    limiter = await make_limiter()
    lease = await limiter.admit((KEY,), 500)
    for tokens in (100, 0, 900):
        lease.settle(tokens)
    assert (await remaining(limiter, KEY))["remaining-tokens"] == "900"


async def test_a_repeated_settlement_is_void(make_limiter: MakeLimiter) -> None:
    limiter = await make_limiter()
    lease = await limiter.admit((KEY,), 500)
    lease.settle(100)
    for _ in range(3):
        limiter.settle(lease, -400)
    await asyncio.sleep(0.05)
    assert (await remaining(await make_limiter(), KEY))["remaining-tokens"] == "900"


async def test_using_more_than_reserved_is_charged(make_limiter: MakeLimiter) -> None:
    limiter = await make_limiter()
    (await limiter.admit((KEY,), 100)).settle(700)
    assert (await remaining(limiter, KEY))["remaining-tokens"] == "300"


async def test_a_failed_request_gets_its_tokens_back(make_limiter: MakeLimiter) -> None:
    limiter = await make_limiter()
    with pytest.raises(OSError, match="engine"):
        async with await limiter.admit((KEY,), 500):
            raise OSError("the engine went away")
    assert (await remaining(limiter, KEY))["remaining-tokens"] == "1000"


async def test_slots_are_free_again(make_limiter: MakeLimiter) -> None:
    limiter = await make_limiter()
    one = LimitEntry("acme", key="k1", concurrency=1)
    for _ in range(5):
        async with await limiter.admit((one,)):
            assert (await refused(limiter, one)).dimension is Dimension.CONCURRENCY


async def test_a_client_that_left_while_asking_holds_nothing(make_limiter: MakeLimiter) -> None:
    limiter = await make_limiter()
    asking = asyncio.create_task(limiter.admit((KEY,), 500))
    await asyncio.sleep(0)
    asking.cancel()
    await asyncio.gather(asking, return_exceptions=True)
    await asyncio.sleep(0.05)
    left = await remaining(limiter, KEY)
    assert (left["remaining-tokens"], left["remaining-requests"]) == ("1000", "8")


async def test_projects_cannot_meet(make_limiter: MakeLimiter, valkey: Valkey) -> None:
    limiter = await make_limiter()
    await limiter.admit((KEY, PROJECT), 1)
    await limiter.admit((LimitEntry("beta", key="k1", requests_per_minute=1),))
    with valkey.client() as client:
        counters = list(client.scan_iter("signalbox:limits:*:[ws]:*"))
    assert {key.split(":")[4] for key in counters} == {"acme", "beta"}


async def test_every_counter_goes_by_itself(make_limiter: MakeLimiter, valkey: Valkey) -> None:
    limiter = await make_limiter()
    (await limiter.admit((KEY, PROJECT, ROUTE), 10)).settle(3)
    await limiter.admit((KEY,), 10)
    with valkey.client() as client:
        lives = {key: client.pttl(key) for key in client.scan_iter("signalbox:limits:?*:*")}
    assert len(lives) >= 6
    assert all(0 < life <= 3_600_000 for life in lives.values()), lives
