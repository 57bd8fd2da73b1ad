"""What this process admitted in the last window: its memory when Redis has none, and its share's account meanwhile.

Every admission is entered, whether Redis decided it or this process alone. `unsaid` marks the latter: a Redis that kept
its counters has not heard of them and must be told those only; one that lost its counters must be told everything.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field

from .arithmetic import RING


@dataclass(slots=True)
class Bucket:
    """One second of one subject."""

    requests: int = 0
    tokens: int = 0
    unsaid_requests: int = 0
    unsaid_tokens: int = 0


@dataclass(slots=True)
class Window:
    """The buckets of one subject, oldest first, and their sums. A tick is a second of Redis's clock."""

    buckets: dict[int, Bucket] = field(default_factory=dict)
    requests: int = 0
    tokens: int = 0

    def expire(self, tick: int) -> None:
        """Forget what has left the window at `tick`."""
        for old in [at for at in self.buckets if at <= tick - RING]:
            bucket = self.buckets.pop(old)
            self.requests -= bucket.requests
            self.tokens -= bucket.tokens

    def add(self, tick: int, requests: int, tokens: int, *, unsaid: bool) -> None:
        bucket = self.buckets.get(tick)
        if bucket is None:
            self.expire(tick)
            bucket = self.buckets[tick] = Bucket()
        bucket.requests += requests
        bucket.tokens += tokens
        self.requests += requests
        self.tokens += tokens
        if unsaid:
            bucket.unsaid_requests += requests
            bucket.unsaid_tokens += tokens

    def correct(self, tick: int, change: int, *, unsaid: bool) -> None:
        """A reservation made at `tick` turned out larger or smaller; without its bucket there is nothing to correct."""
        bucket = self.buckets.get(tick)
        if bucket is not None:
            bucket.tokens += change
            self.tokens += change
            if unsaid:
                bucket.unsaid_tokens = max(0, bucket.unsaid_tokens + change)


class Ledger:
    """The windows of all subjects and the number of running requests of each."""

    def __init__(self) -> None:
        self.windows: dict[str, Window] = {}
        self.running: dict[str, int] = {}

    def window(self, name: str) -> Window:
        window = self.windows.get(name)
        if window is None:
            window = self.windows[name] = Window()
        return window

    def hold(self, name: str) -> None:
        self.running[name] = self.running.get(name, 0) + 1

    def release(self, name: str) -> None:
        left = self.running.get(name, 0) - 1
        if left > 0:
            self.running[name] = left
        else:
            self.running.pop(name, None)

    def sweep(self, tick: int) -> None:
        """Forget subjects that were silent for a whole window, so that memory follows traffic."""
        for name, window in list(self.windows.items()):
            window.expire(tick)
            if not window.buckets:
                del self.windows[name]

    def told(self) -> None:
        """Redis has been told everything."""
        for window in self.windows.values():
            for bucket in window.buckets.values():
                bucket.unsaid_requests = bucket.unsaid_tokens = 0

    def shift(self, ticks: int) -> None:
        """Move all to another clock's ticks."""
        for window in self.windows.values():
            window.buckets = {tick + ticks: bucket for tick, bucket in window.buckets.items()}

    def entries(self) -> Iterator[tuple[str, int, Bucket]]:
        """Subject, tick and bucket of everything remembered."""
        for name, window in self.windows.items():
            for tick, bucket in window.buckets.items():
                yield name, tick, bucket
