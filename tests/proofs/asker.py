"""Clients that write down which of their requests were answered, in a process of its own, on epoll: what counts a
million requests must not cost what it counts.

    python -m tests.proofs.asker PORT DIRECTORY CLIENTS KEY [KEY …]

Each client asks again as soon as its answer has come, every other one for a stream, with a request id of its own that
is never used twice. Keys take turns over the clients. It goes on whatever happens to the gateway, until SIGTERM.
Three files grow in the directory, one id of `WIDTH` bytes with its line's end after the other:

- ``acknowledged``: answered whole, with 200;
- ``begun``: a byte of an answer with 200 came, and then the connection broke or the answer ended with an error;
- ``refused``: anything else that came to an answer.
"""

import contextlib
import json
import select
import signal
import socket
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from bench.load import connect, whole

WIDTH = 14
PAUSE = 0.02
"""seconds until one who was refused, or found nobody, asks again"""
LONGEST = 20.0
"""seconds that an answer may take"""


@dataclass
class Client:
    """One connection, and the request that it waits for."""

    key: bytes
    stream: bool
    sock: socket.socket | None = None
    id: bytes = b""
    due: float = 0.0
    """when it asks next, or gives up waiting"""
    received: bytearray = field(default_factory=bytearray)


def body(*, stream: bool) -> bytes:
    fields: dict[str, object] = {"model": "smol", "messages": [{"role": "user", "content": "Call 13812345678."}]}
    return json.dumps(fields | ({"stream": True} if stream else {}), separators=(",", ":")).encode()


def is_good(client: Client) -> bool:
    """A whole answer that is what was asked for."""
    received = client.received
    assert b"x-request-id: " + client.id in received, received[:500]
    ended = b"data: [DONE]" in received if client.stream else b'"usage"' in received
    return received.startswith(b"HTTP/1.1 200") and ended and b'"error"' not in received


class Asker:
    """All clients of one gateway."""

    def __init__(self, port: int, directory: Path, count: int, keys: list[bytes]) -> None:
        self._port = port
        self._poll = select.epoll()
        self._number = 0
        self._told: dict[str, IO[bytes]] = {
            name: (directory / name).open("wb") for name in ("acknowledged", "begun", "refused")
        }
        self._clients = [Client(keys[i % len(keys)], bool(i // len(keys) % 2)) for i in range(count)]
        self._waiting: dict[int, Client] = {}
        self.running = True

    def run(self) -> None:
        while self.running:
            now = time.monotonic()
            for client in self._clients:
                if client.due <= now:
                    self._turn(client, now)
            for number, _ in self._poll.poll(PAUSE):
                self._take(self._waiting[number])
            for file in self._told.values():
                file.flush()

    def _turn(self, client: Client, now: float) -> None:
        """Ask; give up what was waited for until now."""
        if client.id:
            self._lose(client)
        try:
            self._connect(client)
            self._ask(client)
        except OSError:
            self._lose(client)
        client.due = now + (LONGEST if client.id else PAUSE)

    def _connect(self, client: Client) -> None:
        if client.sock is None:
            client.sock = connect(self._port)
            self._waiting[client.sock.fileno()] = client
            self._poll.register(client.sock, select.EPOLLIN)

    def _ask(self, client: Client) -> None:
        self._number += 1
        client.id = b"%b%012d" % (b"s" if client.stream else b"p", self._number)
        content = body(stream=client.stream)
        assert client.sock is not None
        client.sock.sendall(
            b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nauthorization: Bearer %b\r\nx-request-id: %b\r\n"
            b"content-length: %d\r\n\r\n%b" % (client.key, client.id, len(content), content)
        )

    def _take(self, client: Client) -> None:
        data = b""
        with contextlib.suppress(OSError):
            assert client.sock is not None
            data = client.sock.recv(1 << 18)
        client.received += data
        if not data:
            self._lose(client)
        elif whole(client.received):
            self._end(client)

    def _end(self, client: Client) -> None:
        good = is_good(client)
        closes = b"connection: close" in client.received.lower()
        self._tell(client, "acknowledged" if good else "")
        client.due = 0.0 if good else time.monotonic() + PAUSE
        if closes:
            self._close(client)

    def _lose(self, client: Client) -> None:
        """Whoever was answered in part was answered."""
        self._tell(client, "")
        self._close(client)
        client.due = time.monotonic() + PAUSE

    def _tell(self, client: Client, where: str) -> None:
        if client.id and client.received:
            where = where or ("begun" if client.received.startswith(b"HTTP/1.1 200") else "refused")
            self._told[where].write(client.id + b"\n")
        client.id = b""
        client.received.clear()

    def _close(self, client: Client) -> None:
        if client.sock is not None:
            self._poll.unregister(client.sock)
            del self._waiting[client.sock.fileno()]
            client.sock.close()
            client.sock = None

    def stop(self, *_: object) -> None:
        self.running = False


def main(port: str, directory: str, clients: str, *keys: str) -> None:
    asker = Asker(int(port), Path(directory), int(clients), [key.encode() for key in keys])
    signal.signal(signal.SIGTERM, asker.stop)
    asker.run()


if __name__ == "__main__":
    main(*sys.argv[1:])
