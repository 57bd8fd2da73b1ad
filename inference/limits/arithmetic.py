"""The sums of the limiter, without Redis and without a clock: buckets, shares, and what the headers say."""

import zlib
from functools import lru_cache
from typing import NamedTuple

BUCKET_MS = 1000
RING = 61
"""Buckets that count: sixty whole seconds and, whole as well, the one that has partly left the window. Whatever the
phase, sixty seconds touch at most 61 buckets, so no sliding window can hold more than the limit; at worst an admission
is remembered for 61 s, which admits 60/61 of the limit: 1/61 too little, and never too much."""
WINDOW_MS = RING * BUCKET_MS

Header = tuple[bytes, bytes]


class Gauge(NamedTuple):
    """One window as the headers show it: the limit, what is left of it, ms until it is whole again (or has room)."""

    limit: int
    remaining: int
    reset_ms: int


_REQUESTS, _TOKENS = (
    tuple(b"x-ratelimit-%b-%b" % (what, kind) for what in (b"limit", b"remaining", b"reset"))
    for kind in (b"requests", b"tokens")
)


def share(limit: int, gateways: int, place: int | None, subject: str) -> int:
    """What one of `gateways` processes may give out alone. Over all places the shares add up to the limit exactly.

    What does not divide goes to places picked by the subject's name, so that small limits do not all fall to the same
    process. A process that does not know its place takes no part in that.
    """
    even, rest = divmod(limit, gateways)
    if place is None:
        return even
    return even + ((place + zlib.crc32(subject.encode())) % gateways < rest)


def held_back(limit: int, gateways: int, absent: int) -> int:
    """What is left of a limit while `absent` processes, which Redis does not hear, may be giving out their shares."""
    return limit - absent * (limit // gateways) - min(absent, limit % gateways)


def duration(milliseconds: int) -> str:
    """As OpenAI writes it: ``12ms``, ``1s``, ``59.5s``, ``6m0s``."""
    if milliseconds < 1000:
        return f"{max(0, milliseconds)}ms"
    minutes, rest = divmod(milliseconds, 60_000)
    seconds = f"{rest / 1000:.3f}".rstrip("0").rstrip(".")
    return f"{minutes}m{seconds}s" if minutes else f"{seconds}s"


def whole_seconds(milliseconds: int) -> int:
    """For ``retry-after``: rounded up, at least one."""
    return max(1, -(-milliseconds // 1000))


def until_forgotten(now_ms: int) -> int:
    """Milliseconds until what is admitted now has left every window."""
    return (now_ms // BUCKET_MS) * BUCKET_MS + WINDOW_MS - now_ms


def headers(requests: Gauge | None, tokens: Gauge | None) -> list[Header]:
    """The ``x-ratelimit-*`` headers of the tightest window of each kind."""
    result: list[Header] = []
    for (limit, remaining, reset), gauge in ((_REQUESTS, requests), (_TOKENS, tokens)):
        if gauge is not None:
            result += (
                (limit, b"%d" % gauge.limit),
                (remaining, b"%d" % max(0, gauge.remaining)),
                (reset, _encoded_duration(gauge.reset_ms)),
            )
    return result


@lru_cache(maxsize=4096)
def _encoded_duration(milliseconds: int) -> bytes:
    return duration(milliseconds).encode()
