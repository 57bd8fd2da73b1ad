"""A stand-in engine without a model: answers OpenAI requests at once, one write a chunk, and does nothing else.

    python -m bench.engine PORT [--chunks 64] [--hold] [--prefill SECONDS]

Written on epoll, not on asyncio, so that it is never what a race measures. With ``--hold`` a stream stops after its
first chunk and stays open. With ``--prefill`` an answer begins so long after its question.
"""

import argparse
import json
import select
import socket
import time
from collections import deque

NAMES = {"id": "chatcmpl-x", "created": 1, "model": "smol"}
USAGE = {"prompt_tokens": 41, "completion_tokens": 64, "total_tokens": 105}
HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: %b\r\n%b\r\n\r\n"


def _json(kind: str, **fields: object) -> bytes:
    return json.dumps({**NAMES, "object": kind, **fields}, separators=(",", ":")).encode()


def _chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


def _event(data: bytes) -> bytes:
    return _chunk(b"data: " + data + b"\n\n")


def plain_reply() -> bytes:
    """A short answer, taken whole."""
    message = {"role": "assistant", "content": "The capital of France is Paris."}
    body = _json("chat.completion", choices=[{"index": 0, "message": message, "finish_reason": "stop"}], usage=USAGE)
    return HEAD % (b"application/json", b"content-length: %d" % len(body)) + body


def stream_reply(chunks: int) -> list[bytes]:
    """A stream's writes: the head with the first chunk, then one write a chunk, usage and end together."""
    head = HEAD % (b"text/event-stream; charset=utf-8", b"transfer-encoding: chunked")
    choice = {"index": 0, "delta": {"content": " token"}, "logprobs": None, "finish_reason": None}
    token = _event(_json("chat.completion.chunk", choices=[choice]))
    usage = _event(_json("chat.completion.chunk", choices=[], usage=USAGE))
    return [head + token, *[token] * (chunks - 1), usage + _event(b"[DONE]") + b"0\r\n\r\n"]


def body_complete(request: bytes) -> bool:
    """Whether a whole request has come."""
    head, found, body = request.partition(b"\r\n\r\n")
    if not found:
        return False
    after = head.lower().partition(b"\r\ncontent-length:")[2]
    return len(body) >= int(after.partition(b"\r\n")[0] or 0)


class Engine:
    """All its connections, and the answers that are due."""

    def __init__(self, chunks: int, *, hold: bool = False, prefill: float = 0.0) -> None:
        self._plain, self._stream, self._prefill = [plain_reply()], stream_reply(chunks), prefill
        if hold:
            self._stream = self._stream[:1]
        self._clients: dict[int, tuple[socket.socket, bytearray]] = {}
        self._due: deque[tuple[float, socket.socket, list[bytes]]] = deque()
        """oldest first: all wait for the same time"""

    def serve(self, listener: socket.socket) -> None:
        """Answer for ever."""
        poll = select.epoll()
        poll.register(listener, select.EPOLLIN)
        while True:
            for number, _ in poll.poll(self._until_due()):
                if number == listener.fileno():
                    client, _ = listener.accept()
                    client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                    self._clients[client.fileno()] = (client, bytearray())
                    poll.register(client, select.EPOLLIN)
                elif not self._read(*self._clients[number]):
                    poll.unregister(number)
                    self._clients.pop(number)[0].close()
            self._answer_due()

    def _until_due(self) -> float | None:
        return max(0.0, self._due[0][0] - time.monotonic()) if self._due else None

    def _answer_due(self) -> None:
        while self._due and self._due[0][0] <= time.monotonic():
            _, client, pieces = self._due.popleft()
            _send(client, pieces)

    def _read(self, client: socket.socket, waiting: bytearray) -> bool:
        """Take what came and answer when it is a whole request. False when the other side has gone."""
        try:
            data = client.recv(1 << 20)
        except OSError:
            return False
        waiting += data
        if not body_complete(bytes(waiting)):
            return bool(data)
        pieces = self._stream if b'"stream":true' in waiting else self._plain
        waiting.clear()
        if not self._prefill:
            return _send(client, pieces)
        self._due.append((time.monotonic() + self._prefill, client, pieces))
        return True


def _send(client: socket.socket, pieces: list[bytes]) -> bool:
    try:
        for piece in pieces:
            client.sendall(piece)
    except OSError:
        return False
    return True


def main() -> None:
    parser = argparse.ArgumentParser(description="A stand-in engine")
    parser.add_argument("port", type=int)
    parser.add_argument("--chunks", type=int, default=64)
    parser.add_argument("--hold", action="store_true")
    parser.add_argument("--prefill", type=float, default=0.0, help="seconds")
    asked = parser.parse_args()
    listener = socket.create_server(("127.0.0.1", asked.port), backlog=4096, reuse_port=False)
    Engine(asked.chunks, hold=asked.hold, prefill=asked.prefill).serve(listener)


if __name__ == "__main__":
    main()
