"""A gateway process for tests of budgets. It does what it reads, line by line, and answers each line with one of JSON.

    admit COUNT TOKENS ENTRY   ask for so many requests at once; answers how many were let through, and why others not
    settle TOKENS              end all that are running, each having used so many; answers how many those were
    leave                      stop in order; answers 0

python -m tests.inference.limits.spender REDIS_URL DATABASE_URL GATEWAYS LEASE_SECONDS
"""

import asyncio
import json
import sys
from collections import Counter
from typing import Any

import msgspec

from inference.contract.limits import LimitEntry
from inference.limits import Lease, Limiter, LimitError
from inference.limits import budgets as budgets_module
from inference.limits import limiter as limiter_module
from inference.limits.plan import Spend

QUICK_SECONDS = 0.1
"""between two beats, and between two reports"""


class Spender:
    def __init__(self, limiter: Limiter) -> None:
        self._limiter = limiter
        self._running: list[Lease] = []

    async def admit(self, count: str, tokens: str, entry: str) -> dict[str, int]:
        limits = (msgspec.json.decode(entry, type=LimitEntry),)
        asking = (self._limiter.admit(limits, int(tokens), Spend(int(tokens))) for _ in range(int(count)))
        outcomes: Counter[str] = Counter()
        for answer in await asyncio.gather(*asking, return_exceptions=True):
            if isinstance(answer, Lease):
                self._running.append(answer)
                outcomes["admitted"] += 1
            elif isinstance(answer, LimitError):
                outcomes[type(answer).__name__] += 1
            else:
                raise answer
        return dict(outcomes)

    async def settle(self, tokens: str) -> int:
        ended, self._running = self._running, []
        for lease in ended:
            lease.settle(int(tokens))
        return len(ended)

    async def leave(self) -> int:
        await self._limiter.close()
        return 0


def hurry() -> None:
    """Beats and reports follow each other within a test's patience."""
    limiter_module.BEAT_SECONDS = budgets_module.REPORT_SECONDS = QUICK_SECONDS


async def main(redis_url: str, database_url: str, gateways: str, lease: str) -> None:
    limiter = Limiter(redis_url, database_url, gateways=int(gateways), lease=float(lease))
    await limiter.start()
    spender: Any = Spender(limiter)
    print(json.dumps("ready"), flush=True)
    while line := await asyncio.to_thread(sys.stdin.readline):
        verb, *words = line.rstrip("\n").split(" ", 3)
        print(json.dumps(await getattr(spender, verb)(*words)), flush=True)
        if verb == "leave":
            return


if __name__ == "__main__":
    hurry()
    asyncio.run(main(*sys.argv[1:]))
