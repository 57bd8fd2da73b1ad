"""An open-loop load generator: questions arrive at a given pace, whether or not earlier ones have been answered.

    python -m bench.arrivals PORT KEY [--pace 1000] [--seconds 10] [--stream]

A closed loop asks less while it is kept waiting and so hides what a pause costs; here a wait is counted from the moment
at which the question was due. Prints seconds until the first byte of each answer, as JSON.
"""

import argparse
import json
import random
import select
import socket
import time
from dataclasses import asdict, dataclass, field

from bench.load import WARM, connect, request, whole

GRACE = 5.0
"""seconds for what is still on its way at the end"""


@dataclass
class Waits:
    """Of one run, in seconds."""

    first_byte: list[float] = field(default_factory=list)
    failures: int = 0


@dataclass
class Asked:
    """A question on its connection."""

    sock: socket.socket
    due: float
    received: bytearray = field(default_factory=bytearray)


class Arrivals:
    """Questions at random moments (exponential gaps), each on a connection that is free, or on a new one."""

    def __init__(self, port: int, message: bytes, *, pace: float, seed: int = 1) -> None:
        self._port, self._message, self._pace = port, message, pace
        self._chance = random.Random(seed)
        self._free: list[socket.socket] = []
        self._asked: dict[int, Asked] = {}
        self._poll = select.epoll()
        self._found = Waits()

    def run(self, seconds: float, warm: float = WARM) -> Waits:
        """Ask for `warm` + `seconds`; what was due in the warm-up is not counted."""
        begin = time.perf_counter() + warm
        end, due = begin + seconds, begin - warm
        while due < end:
            while due <= time.perf_counter():
                self._ask(due)
                due += self._chance.expovariate(self._pace)
            self._take(max(0.0, due - time.perf_counter()), begin)
        while self._asked and time.perf_counter() < end + GRACE:
            self._take(0.1, begin)
        self._found.failures += len(self._asked)
        return self._found

    def _ask(self, due: float) -> None:
        sock = self._free.pop() if self._free else self._connect()
        self._asked[sock.fileno()] = Asked(sock, due)
        sock.sendall(self._message)

    def _connect(self) -> socket.socket:
        sock = connect(self._port)
        self._poll.register(sock, select.EPOLLIN)
        return sock

    def _take(self, patience: float, begin: float) -> None:
        for number, _ in self._poll.poll(patience):
            asked = self._asked.get(number)
            if asked is None:
                continue  # closed while nobody used it: the next one there finds out
            data = asked.sock.recv(1 << 18)
            if not asked.received and data and asked.due >= begin:
                self._found.first_byte.append(time.perf_counter() - asked.due)
            asked.received += data
            if not data or whole(asked.received):
                del self._asked[number]
                self._found.failures += not asked.received.startswith(b"HTTP/1.1 200")
                self._keep(asked.sock, lost=not data)

    def _keep(self, sock: socket.socket, *, lost: bool) -> None:
        if lost:
            self._poll.unregister(sock)
            sock.close()
        else:
            self._free.append(sock)


def main() -> None:
    parser = argparse.ArgumentParser(description="An open-loop load generator; prints what it waited as JSON")
    parser.add_argument("port", type=int)
    parser.add_argument("key")
    parser.add_argument("--pace", type=float, default=1000, help="questions a second")
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--stream", action="store_true")
    given = parser.parse_args()
    message = request(given.port, given.key, stream=given.stream)
    print(json.dumps(asdict(Arrivals(given.port, message, pace=given.pace).run(given.seconds))))


if __name__ == "__main__":
    main()
