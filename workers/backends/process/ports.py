"""A free port of the loopback interface."""

import random
import socket
from collections.abc import Iterable

FIRST, LAST = 18_000, 18_999  # below what Linux hands out by itself to outgoing connections (32768 and up)


class NoPortError(Exception):
    """Every port of the range is taken."""


def pick(taken: Iterable[int], chance: random.Random) -> int:
    """A port that nobody listens on and that is not in `taken`: another replica may have it and not listen yet."""
    candidates = sorted(set(range(FIRST, LAST + 1)) - set(taken))
    # In random order: two instances on one machine do not know of each other's replicas that do not listen yet.
    chance.shuffle(candidates)
    for port in candidates:
        if _is_free(port):
            return port
    raise NoPortError(f"no free port from {FIRST} to {LAST}")


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True
