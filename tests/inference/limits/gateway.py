"""A gateway process for tests: admits as fast as it may and prints the server's time of each admission, line by line.

python -m tests.inference.limits.gateway URL GATEWAYS PLACE SECONDS KIND
"""

import asyncio
import contextlib
import sys
import time
from typing import Any

from inference.contract.limits import LimitEntry
from inference.limits import Limiter, LimitError

from . import builds

RATE = 240
SLOTS = 4
LIMITS = {
    "rates": (LimitEntry("acme", key="k1", requests_per_minute=RATE, tokens_per_minute=10 * RATE),),
    "slots": (LimitEntry("acme", key="k2", concurrency=SLOTS),),
}


def say(*words: object) -> None:
    print(*words, flush=True)


async def rates(limiter: Limiter, end: float) -> None:
    """Requests of ten tokens, of which nine are used."""
    while time.monotonic() < end:
        with contextlib.suppress(LimitError):
            lease = await limiter.admit(LIMITS["rates"], 10)
            say(lease.at, limiter.alive)
            lease.settle(9)
        await asyncio.sleep(0.002)


async def slots(limiter: Limiter, end: float) -> None:
    """Requests that hold a slot and do not end."""
    held: list[Any] = []
    while time.monotonic() < end:
        with contextlib.suppress(LimitError):
            held.append(await limiter.admit(LIMITS["slots"]))
            say(held[-1].at, limiter.alive)
        await asyncio.sleep(0.01)


async def main(url: str, gateways: str, place: str, seconds: str, kind: str) -> None:
    limiter = Limiter(url, gateways=int(gateways), place=int(place), lease=1.0, longest_request=5.0)
    await limiter.start()
    say("ready")
    await {"rates": rates, "slots": slots}[kind](limiter, time.monotonic() + float(seconds))
    await limiter.close()


if __name__ == "__main__":
    builds.quickened()
    asyncio.run(main(*sys.argv[1:]))
