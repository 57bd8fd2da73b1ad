"""UUIDv7 (RFC 9562): time-ordered ids that sort in an index the way events happened."""

import os
import threading
import time
from uuid import UUID

_lock = threading.Lock()
_last = [0]
_pool: list[bytes] = []
_DRAWN = 64
"""ids' worth of randomness for each call into the kernel"""


os.register_at_fork(after_in_child=_pool.clear)


def random_bytes(length: int) -> bytes:
    """As `os.urandom`, for ids of up to 16 bytes and not for secrets: drawn ahead, as each request makes some."""
    while True:
        try:
            return _pool.pop()[:length]
        except IndexError:
            drawn = os.urandom(16 * _DRAWN)
            _pool.extend(drawn[at : at + 16] for at in range(0, len(drawn), 16))


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
    random = int.from_bytes(random_bytes(8)) & ((1 << 62) - 1)
    whole = (milliseconds & ((1 << 48) - 1)) << 80 | 0x7 << 76 | fraction << 64 | 0b10 << 62 | random
    return whole.to_bytes(16)
