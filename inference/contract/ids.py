"""UUIDv7 (RFC 9562): time-ordered ids that sort in an index the way events happened."""

import os
import threading
import time
from uuid import UUID

_lock = threading.Lock()
_last = [0]


def uuid7() -> UUID:
    """A new UUIDv7; strictly increasing within this process, even when the clock steps back."""
    return UUID(bytes=uuid7_bytes())


def uuid7_bytes() -> bytes:
    """The sixteen bytes of a new UUIDv7, without the object around them.

    48 bits of Unix milliseconds, then 12 bits of sub-millisecond time that double as a counter, then 62 random bits.
    """
    now = time.time_ns() >> 8  # 256 ns steps: more than 12 bits of a millisecond, monotonic once compared
    with _lock:
        _last[0] = now = max(now, _last[0] + 1)
    milliseconds, rest = divmod(now << 8, 1_000_000)
    fraction = rest * 4096 // 1_000_000
    random = int.from_bytes(os.urandom(8)) & ((1 << 62) - 1)
    whole = (milliseconds & ((1 << 48) - 1)) << 80 | 0x7 << 76 | fraction << 64 | 0b10 << 62 | random
    return whole.to_bytes(16)
