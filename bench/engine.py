"""A stand-in engine without a model: answers OpenAI requests at once, one write a chunk, and does nothing else.

    python -m bench.engine PORT [--chunks 64] [--hold]

Written on epoll, not on asyncio, so that it is never what a race measures. With ``--hold`` a stream stops after its
first chunk and stays open.
"""

import argparse
import json
import select
import socket

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


def serve(listener: socket.socket, chunks: int, *, hold: bool) -> None:
    """Answer for ever."""
    plain, stream = plain_reply(), stream_reply(chunks)
    if hold:
        stream = stream[:1]
    clients: dict[int, tuple[socket.socket, bytearray]] = {}
    poll = select.epoll()
    poll.register(listener, select.EPOLLIN)
    while True:
        for number, _ in poll.poll():
            if number == listener.fileno():
                client, _ = listener.accept()
                client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                clients[client.fileno()] = (client, bytearray())
                poll.register(client, select.EPOLLIN)
            elif not _answer(*clients[number], plain, stream):
                poll.unregister(number)
                clients.pop(number)[0].close()


def _answer(client: socket.socket, waiting: bytearray, plain: bytes, stream: list[bytes]) -> bool:
    """Read what came and answer when it is a whole request. False when the other side has gone."""
    try:
        data = client.recv(1 << 20)
        waiting += data
        if body_complete(bytes(waiting)):
            wants_stream = b'"stream":true' in waiting
            waiting.clear()
            for piece in stream if wants_stream else (plain,):
                client.sendall(piece)
    except OSError:
        return False
    return bool(data)


def main() -> None:
    parser = argparse.ArgumentParser(description="A stand-in engine")
    parser.add_argument("port", type=int)
    parser.add_argument("--chunks", type=int, default=64)
    parser.add_argument("--hold", action="store_true")
    asked = parser.parse_args()
    listener = socket.create_server(("127.0.0.1", asked.port), backlog=4096, reuse_port=False)
    serve(listener, asked.chunks, hold=asked.hold)


if __name__ == "__main__":
    main()
