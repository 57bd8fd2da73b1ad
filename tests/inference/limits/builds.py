"""Test builds of the limiter: a clock that tests set, and a minute that lasts three seconds."""

import dataclasses
import hashlib
from collections.abc import Callable

from inference.limits import arithmetic, limiter, scripts, session
from inference.limits.scripts import Script

CLOCK_KEY = "test:now"
LOADED = ("TURN", "BEAT", "LEAVE", "FILL", "SPEND", "ALIGN", "ALIVE", "SWEEP", "BURY")
NAMES = (*LOADED, "JOIN")
REAL_CLOCK = "local time = redis.call('TIME')\nlocal now = time[1] * 1000 + math.floor(time[2] / 1000)\n"
SET_CLOCK = f"local now = tonumber(redis.call('GET', '{CLOCK_KEY}'))\n"
Patch = Callable[[object, str, object], None]


@dataclasses.dataclass(frozen=True)
class Speed:
    """Times of the quick build; everything a twentieth but for what the machine's own pace sets."""

    bucket_ms: int = 50
    trust_ms: int = 500
    beat_seconds: float = 0.1
    margin_ms: int = 100


def _replace(old: str, new: str, patch: Patch) -> None:
    for name in NAMES:
        text: str = getattr(scripts, name).text
        assert old in text
        text = text.replace(old, new)
        patch(scripts, name, Script(text, hashlib.sha1(text.encode()).hexdigest()))
    patch(scripts, "LOADED", tuple(getattr(scripts, name) for name in LOADED))


def with_set_clock(patch: Patch = setattr) -> None:
    """The scripts read the time from a key, because nobody can set Redis's TIME."""
    _replace(REAL_CLOCK, SET_CLOCK, patch)


def quickened(patch: Patch = setattr, speed: Speed = Speed()) -> None:
    """The whole limiter with short buckets, so that windows slide within a test's patience."""
    window_ms = arithmetic.RING * speed.bucket_ms
    _replace("local BUCKET_MS = 1000", f"local BUCKET_MS = {speed.bucket_ms}", patch)
    for module in (arithmetic, limiter, session):
        patch(module, "BUCKET_MS", speed.bucket_ms)
    for module in (arithmetic, session):
        patch(module, "WINDOW_MS", window_ms)
    patch(session, "TRUST_MS", speed.trust_ms)
    patch(session, "MARGIN_MS", speed.margin_ms)
    patch(limiter, "BEAT_SECONDS", speed.beat_seconds)
