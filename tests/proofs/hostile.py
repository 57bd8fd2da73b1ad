"""Hostile input, made from a seed: the corpus bent and broken, heads and JSON that nobody would write.

`legitimate` says how many proper requests are in some bytes, by h11 and the standard library's JSON: whoever answers
more of them with success has taken something for a request that is none.
"""

import json
import random
from typing import Any, NamedTuple

import h11

from inference.endpoints.table import ENDPOINTS
from tests.inference.test_hostile_corpus import BODIES, FRAMING

KEY = b"{key}"
"""stands for a good key, as in the corpus"""
MODEL = "smol"
METHODS = ("POST", "POST", "POST", "GET", "PUT", "DELETE", "OPTIONS", "HEAD", "TRACE", "CONNECT", "post", "P\0ST", "")
PATHS = (
    *ENDPOINTS, *ENDPOINTS, "/v1/models", "/v1/models/smol", "/v1/models/%00", "/", "*", "/healthz", "/readyz",
    "/metrics", "/v1/chat%2fcompletions", "//v1/chat/completions", "/v1/chat/completions/..",
    "/v1/chat/completions?a=b", "/v1/chat/completions#x", "http://engine.internal/v1/chat/completions",
    "/../../etc/passwd", "/v1/\xe9", "?", "",
)  # fmt: skip
NAMES = (
    "host", "content-length", "transfer-encoding", "connection", "authorization", "x-api-key", "api-key", "expect",
    "upgrade", "content-encoding", "content-type", "x-request-id", "traceparent", "tracestate", "accept", "user-agent",
    "x-forwarded-for", "te", "trailer", "cookie", "range", "http2-settings", "x-" + "a" * 300, "", " ", "a b", "a:b",
    "é",
)  # fmt: skip
VALUES = (
    "", "x", "0", "-1", "1e3", "18446744073709551616", "chunked", "gzip", "identity", "chunked, chunked", "close",
    "keep-alive, upgrade", "Bearer", "Bearer ", "Bearer {key}", "Basic {key}", "{key}", "100-continue", "websocket",
    "a" * 5000, "\0", "\x7f", "\x80\xff", "a\rb", "a\nb", "a\r\nx-injected: 1", "\t", "127.0.0.1:99999", "[::1]", "é",
    "\u200b", "00-" + "0" * 32 + "-" + "0" * 16 + "-01",
)  # fmt: skip
FIELDS = (
    "model", "messages", "stream", "stream_options", "max_tokens", "max_completion_tokens", "n", "temperature",
    "prompt", "input", "tools", "response_format", "logprobs", "user", "seed", "stop", "documents", "query",
    "system", "\0", "",
)  # fmt: skip
ATOMS: tuple[Any, ...] = (
    None, True, False, 0, -1, 1.5, 1e308, -(2**63), 2**64, 10**40, "", "smol", "\0", "\ud800", "é" * 50, "\u202e",
    "a" * 10_000,
    "http://169.254.169.254/", "file:///etc/passwd", "data:image/png;base64,", [], {}, [[]], {"": None}, ["smol"],
    {"url": "x"},
)  # fmt: skip


class Hostile(NamedTuple):
    """What is sent, piece by piece, and whether the client then says that it will send no more."""

    pieces: tuple[bytes, ...]
    ends: bool

    @property
    def whole(self) -> bytes:
        return b"".join(self.pieces)


def make(seed: int) -> Hostile:
    """The input of that seed."""
    dice = random.Random(seed)
    data = dice.choice((_bent_framing, _bent_body, _odd_json, _odd_head, _noise, _pipelined))(dice)
    return Hostile(tuple(_cut(dice, data)), dice.random() < 0.3)


def _bent_framing(dice: random.Random) -> bytes:
    return _bend(dice, dice.choice(tuple(FRAMING.values())), dice.randrange(4))


def _bent_body(dice: random.Random) -> bytes:
    return _framed(dice, _bend(dice, dice.choice(tuple(BODIES.values())), dice.randrange(3)))


def _odd_json(dice: random.Random) -> bytes:
    fields: dict[str, Any] = {"model": MODEL} if dice.random() < 0.8 else {}
    for _ in range(dice.randrange(6)):
        fields[dice.choice(FIELDS)] = _value(dice, 3)
    return _framed(dice, json.dumps(fields, ensure_ascii=dice.random() < 0.5).encode("utf-8", "surrogatepass"))


def _value(dice: random.Random, depth: int) -> Any:
    if depth == 0 or dice.random() < 0.5:
        return dice.choice(ATOMS)
    if dice.random() < 0.5:
        return [_value(dice, depth - 1) for _ in range(dice.randrange(4))]
    return {dice.choice(FIELDS): _value(dice, depth - 1) for _ in range(dice.randrange(4))}


def _odd_head(dice: random.Random) -> bytes:
    version = dice.choice(("HTTP/1.1", "HTTP/1.1", "HTTP/1.0", "HTTP/2", "HTTP/1.1x"))
    lines = [f"{dice.choice(METHODS)} {dice.choice(PATHS)} {version}"]
    lines += ["host: h"] * (dice.random() < 0.8) + ["authorization: Bearer {key}"] * (dice.random() < 0.8)
    lines += [f"{dice.choice(NAMES)}: {dice.choice(VALUES)}" for _ in range(dice.randrange(5))]
    body = dice.choice(tuple(BODIES.values())) if dice.random() < 0.5 else b'{"model":"smol"}'
    lines += [f"content-length: {len(body)}"] * (dice.random() < 0.7)
    return "\r\n".join([*lines, "", ""]).encode("utf-8") + body


def _noise(dice: random.Random) -> bytes:
    return dice.randbytes(dice.randrange(1, 400)) + b"\r\n\r\n" * dice.randrange(2)


def _pipelined(dice: random.Random) -> bytes:
    return b"".join(
        dice.choice((_bent_framing, _bent_body, _odd_json, _odd_head))(dice) for _ in range(dice.randrange(2, 4))
    )


def _framed(dice: random.Random, body: bytes) -> bytes:
    """In a proper request, by its length or in chunks."""
    head = f"POST {dice.choice(tuple(ENDPOINTS))} HTTP/1.1\r\nhost: h\r\nauthorization: Bearer {{key}}\r\n".encode()
    if dice.random() < 0.7:
        return head + b"content-length: %d\r\n\r\n" % len(body) + body
    place = dice.randrange(len(body) + 1)
    chunks = b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in (body[:place], body[place:]) if part)
    return head + b"transfer-encoding: chunked\r\n\r\n" + chunks + b"0\r\n\r\n"


def _bend(dice: random.Random, data: bytes, times: int) -> bytes:
    """Change some bytes: flipped, taken out, doubled, put in, moved."""
    for _ in range(times):
        place = dice.randrange(len(data) + 1)
        length = dice.randrange(1, 20)
        part = data[place : place + length]
        data = dice.choice(
            (
                data[:place] + dice.randbytes(1) + data[place + 1 :],
                data[:place] + data[place + length :],
                data[:place] + part + data[place:],
                data[:place] + dice.choice((b"\0", b"\r", b"\n", b"\r\n", b" ", b"{", b'"', b"\xff")) + data[place:],
                data[place:] + data[:place],
            )
        )
    return data


def _cut(dice: random.Random, data: bytes) -> list[bytes]:
    places = sorted(dice.randrange(len(data) + 1) for _ in range(dice.choice((0, 0, 0, 1, 3))))
    return [data[a:b] for a, b in zip([0, *places], [*places, len(data)], strict=True) if a < b]


def legitimate(data: bytes, key: str) -> int:
    """How many proper requests stand at the beginning of `data`."""
    connection, count = h11.Connection(h11.SERVER, max_incomplete_event_size=20_000), 0
    connection.receive_data(data)
    try:
        while isinstance(request := connection.next_event(), h11.Request):
            body = b""
            while isinstance(event := connection.next_event(), h11.Data):
                body += event.data
            if not isinstance(event, h11.EndOfMessage):
                break
            count += _is_proper(request, body, key)
            connection.send(h11.Response(status_code=200, headers=[("content-length", "0")]))
            connection.send(h11.EndOfMessage())
            connection.start_next_cycle()
    except (h11.RemoteProtocolError, h11.LocalProtocolError):
        pass
    return count


def _is_proper(request: h11.Request, body: bytes, key: str) -> bool:
    path = request.target.partition(b"?")[0].decode("latin-1")
    if path in {"/healthz", "/readyz"}:
        return True
    if key.encode() not in b"".join(value for _, value in request.headers):
        return False
    if path.endswith(("/v1/models", "/v1/models/smol")):
        return True
    return request.method == b"POST" and path.endswith(tuple(ENDPOINTS)) and _names_the_model(body)


def _names_the_model(body: bytes) -> bool:
    try:
        fields = json.loads(body.decode("utf-8"), parse_int=str)
    except (ValueError, RecursionError):
        return False
    return isinstance(fields, dict) and fields.get("model") == MODEL
