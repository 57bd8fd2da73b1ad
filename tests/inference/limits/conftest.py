"""A Valkey that tests may kill, and limiters that are closed after the test."""

import subprocess
import sys
import tempfile
from bisect import bisect_left
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import redis

from config import embedded
from inference.limits import Limiter


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


class Gateways:
    """Gateway processes under load; `results` says what each admitted as (ms, whether Redis was there)."""

    def __init__(self, url: str) -> None:
        self._url = url
        self.processes: list[subprocess.Popen[str]] = []

    def start(self, count: int, seconds: float, kind: str = "rates", *, gateways: int | None = None) -> None:
        for place in range(count):
            argv = [sys.executable, "-m", "tests.inference.limits.gateway", self._url, str(gateways or count)]
            self.processes.append(
                subprocess.Popen([*argv, str(place), str(seconds), kind], stdout=subprocess.PIPE, text=True)
            )
        for process in self.processes:
            assert process.stdout
            assert process.stdout.readline() == "ready\n"

    def results(self) -> list[list[tuple[int, bool]]]:
        # Not communicate(): it passes over what the first readline() has already drawn into the buffer.
        said = [process.stdout.read().splitlines() for process in self.processes if process.stdout]
        return [[(int(at), alive == "True") for at, alive in map(str.split, lines)] for lines in said]


@pytest.fixture
def gateways(valkey: Valkey) -> Iterator[Gateways]:
    started = Gateways(valkey.url)
    yield started
    for process in started.processes:
        process.kill()
        process.communicate()


def worst_window(moments: list[int], window: int) -> int:
    """The most moments in any `window` ms."""
    moments = sorted(moments)
    return max((i + 1 - bisect_left(moments, at - window + 1) for i, at in enumerate(moments)), default=0)
