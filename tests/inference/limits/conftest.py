"""A Valkey that tests may kill, and limiters that are closed after the test."""

import subprocess
import tempfile
from bisect import bisect_left
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import redis

from config import embedded
from inference.limits import Limiter
from tests.inference.books import Books


class Valkey:
    """A server of its own, with a life that the test decides."""

    def __init__(self, home: Path) -> None:
        self._home = home
        self.server = embedded.valkey(home)
        self.url = self.server.url
        self.process: subprocess.Popen[bytes]
        self.start()

    def start(self) -> None:
        self.process = self.server.start(self._home / "log")
        self.server.wait()

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()

    def client(self) -> "redis.Redis":
        return redis.Redis.from_url(self.url, decode_responses=True)


@pytest.fixture(scope="session")
def shared_valkey() -> Iterator[Valkey]:
    with tempfile.TemporaryDirectory(prefix="sbx-test-limits-") as home:
        valkey = Valkey(Path(home))
        yield valkey
        valkey.kill()


@pytest.fixture
def valkey(shared_valkey: Valkey) -> Valkey:
    """Empty and running, whatever the last test did to it."""
    if shared_valkey.process.poll() is not None:
        shared_valkey.start()
    with shared_valkey.client() as client:
        client.flushall()
    return shared_valkey


MakeLimiter = Callable[..., Awaitable[Limiter]]


@pytest.fixture
async def make_limiter(valkey: Valkey) -> AsyncIterator[MakeLimiter]:
    made: list[Limiter] = []

    async def make(**settings: Any) -> Limiter:
        limiter = Limiter(valkey.url, **settings)
        made.append(limiter)
        await limiter.start()
        return limiter

    yield make
    for limiter in made:
        await limiter.close()


def worst_window(moments: list[int], window: int) -> int:
    """The most moments in any `window` ms."""
    moments = sorted(moments)
    return max((i + 1 - bisect_left(moments, at - window + 1) for i, at in enumerate(moments)), default=0)


@pytest.fixture
def books(database_url: str) -> Iterator[Books]:
    """The ledger of budgets."""
    opened = Books(database_url)
    yield opened
    opened.close()
