"""A closed-loop load generator: so many clients, each asks again as soon as its answer has come whole.

It runs in a process of its own, on epoll, and looks at an answer only as far as it must, so that what it costs does
not hide what the contestant costs.
"""

import argparse
import json
import select
import socket
import time
from dataclasses import asdict, dataclass, field

STREAM_END = b"0\r\n\r\n"
WARM = 0.5
"""seconds before anything counts"""


@dataclass
class Result:
    """What one run saw; times in seconds."""

    seconds: float = 0.0
    answers: int = 0
    chunks: int = 0
    failures: int = 0
    waits: list[float] = field(default_factory=list)
    """until the whole answer, or a stream's first chunk"""


@dataclass
class Client:
    """One connection and what it waits for."""

    sock: socket.socket
    asked_at: float = 0.0
    first: float = 0.0
    received: bytearray = field(default_factory=bytearray)


def request(port: int, key: str, *, stream: bool) -> bytes:
    """A chat of some 200 characters."""
    fields: dict[str, object] = {
        "model": "smol", "messages": [{"role": "user", "content": "x" * 200}], "max_tokens": 64
    }  # fmt: skip
    if stream:
        fields |= {"stream": True, "stream_options": {"include_usage": True}}
    body = json.dumps(fields, separators=(",", ":")).encode()
    return (
        b"POST /v1/chat/completions HTTP/1.1\r\nhost: 127.0.0.1:%d\r\nuser-agent: bench/1\r\naccept: */*\r\n"
        b"content-type: application/json\r\nauthorization: Bearer %b\r\ncontent-length: %d\r\n\r\n%b"
    ) % (port, key.encode(), len(body), body)


def connect(port: int) -> socket.socket:
    """A connection that answers without delay."""
    sock = socket.create_connection(("127.0.0.1", port), timeout=10)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return sock


def run(port: int, key: str, *, stream: bool, clients: int, seconds: float, warm: float = WARM) -> Result:
    """Load for `warm` + `seconds`; only what was asked after the warm-up counts."""
    message, result, poll = request(port, key, stream=stream), Result(), select.epoll()
    everybody: dict[int, Client] = {}
    for _ in range(clients):
        client = Client(connect(port))
        everybody[client.sock.fileno()] = client
        poll.register(client.sock, select.EPOLLIN)
        _ask(client, message)
    begin = time.perf_counter() + warm
    while time.perf_counter() < begin + seconds:
        for number, _ in poll.poll(1.0):
            client = everybody[number]
            if not _take(client, result, begin, stream=stream):
                poll.unregister(number)
                client.sock.close()
                client = everybody[number] = _again(port, poll, everybody, number)
            if not client.received:
                _ask(client, message)
    result.seconds = time.perf_counter() - begin
    for client in everybody.values():
        client.sock.close()
    return result


def _again(port: int, poll: select.epoll, everybody: dict[int, Client], number: int) -> Client:
    """A new connection in place of one that was lost."""
    del everybody[number]
    client = Client(connect(port))
    everybody[client.sock.fileno()] = client
    poll.register(client.sock, select.EPOLLIN)
    return client


def _ask(client: Client, message: bytes) -> None:
    client.asked_at, client.first = time.perf_counter(), 0.0
    client.sock.sendall(message)


def _take(client: Client, result: Result, begin: float, *, stream: bool) -> bool:
    """Read what came. False when the connection was lost; an empty `received` means that the answer is whole."""
    data = client.sock.recv(1 << 18)
    if not data:
        result.failures += 1
        return False
    received = client.received
    received += data
    if not client.first and b"data: " in data:
        client.first = time.perf_counter()
    if not whole(received):
        return True
    if client.asked_at >= begin:
        _count(client, result, stream=stream)
    received.clear()
    return True


def whole(received: bytearray) -> bool:
    """Whether the answer has come to its end, by its chunks or its length."""
    if received.endswith(STREAM_END):
        return True
    end = received.find(b"\r\n\r\n")
    length = bytes(received[: max(end, 0)]).lower().partition(b"\r\ncontent-length:")[2].partition(b"\r\n")[0]
    return bool(length) and len(received) - end - 4 >= int(length)


def _count(client: Client, result: Result, *, stream: bool) -> None:
    received = client.received
    good = received.startswith(b"HTTP/1.1 200") and (not stream or b"data: [DONE]" in received)
    if not good:
        result.failures += 1
        return
    result.answers += 1
    result.chunks += received.count(b"data: ") if stream else 0
    result.waits.append((client.first if stream else time.perf_counter()) - client.asked_at)


def main() -> None:
    parser = argparse.ArgumentParser(description="A closed-loop load generator; prints its result as JSON")
    parser.add_argument("port", type=int)
    parser.add_argument("key")
    parser.add_argument("--stream", action="store_true")
    parser.add_argument("--clients", type=int, default=32)
    parser.add_argument("--seconds", type=float, default=3)
    asked = parser.parse_args()
    result = run(asked.port, asked.key, stream=asked.stream, clients=asked.clients, seconds=asked.seconds)
    result.waits.sort()
    print(json.dumps(asdict(result)))


if __name__ == "__main__":
    main()
