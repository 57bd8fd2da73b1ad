"""S1: whatever comes over the wire gets a clear 4xx or a closed connection; no engine ever hears of it."""

import asyncio
import json
import secrets
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from inference.endpoints.table import ENDPOINTS
from inference.errors import BadRequest
from inference.media import check_media
from tests.inference.conftest import Gateway, Start, route
from tests.inference.engine import Engine

PATH = "/v1/chat/completions"
LONGEST_ANSWER_SECONDS = 4
"""the gateway of these tests gives a head and a body one second each"""


@pytest.fixture
async def gateway(start: Start, engine: Engine) -> Gateway:
    return await start(
        route("smol", engine.url), SIGNALBOX_GATEWAY_HEADER_SECONDS="1", SIGNALBOX_GATEWAY_BODY_SECONDS="1"
    )


async def send(gateway: Gateway, *pieces: bytes) -> bytes:
    """All that comes back until the gateway closes or has answered."""
    reader, writer = await asyncio.open_connection("127.0.0.1", gateway.port)
    try:
        for piece in pieces:
            writer.write(piece)
            await asyncio.sleep(0.02)
        async with asyncio.timeout(LONGEST_ANSWER_SECONDS):
            return await reader.read()
    except ConnectionError:
        return b""
    finally:
        writer.close()


def answers(received: bytes) -> list[tuple[int, dict[str, Any]]]:
    """Status and JSON body of each answer in what came back."""
    found = []
    while received:
        head, _, rest = received.partition(b"\r\n\r\n")
        lines = head.split(b"\r\n")
        headers = {
            name.strip().lower(): value.strip() for name, _, value in (line.partition(b":") for line in lines[1:])
        }
        assert headers[b"x-request-id"]
        size = int(headers[b"content-length"])
        found.append((int(lines[0].split()[1]), json.loads(rest[:size]) if size else {}))
        received = rest[size:]
    return found


def head(
    *lines: str, path: str = PATH, method: str = "POST", host: str | None = "h", version: str = "HTTP/1.1"
) -> bytes:
    """A request head that asks to close after the answer; ``{key}`` stands for a good key."""
    hosts = [] if host is None else [f"host: {host}"]
    all_lines = [f"{method} {path} {version}", *hosts, "authorization: Bearer {key}", "connection: close", *lines]
    return "\r\n".join([*all_lines, "", ""]).encode("latin-1")


def request(body: bytes, *lines: str, **head_fields: Any) -> bytes:
    return head(f"content-length: {len(body)}", *lines, **head_fields) + body


GOOD = b'{"model":"smol"}'
DEEP = 100_000

FRAMING = {
    "not http": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\x00" * 64,
    "http 0.9": b"GET /\r\n\r\n",
    "http 2 preface": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "unknown version": head(version="HTTP/9.9"),
    "bare line feeds inside": head().replace(b"\r\n", b"\n\r", 1),
    "space before colon": head("content-length : 16") + GOOD,
    "folded header": head("x-a: b\r\n c", "content-length: 16") + GOOD,
    "nul in a header": head("x-a: b\0c", "content-length: 16") + GOOD,
    "nul in a name": head("x\0a: b", "content-length: 16") + GOOD,
    "empty name": head(": b", "content-length: 16") + GOOD,
    "length and chunks": head("content-length: 16", "transfer-encoding: chunked") + GOOD,
    "chunks and length": head("transfer-encoding: chunked", "content-length: 16") + b"0\r\n\r\n",
    "two lengths": head("content-length: 16", "content-length: 17") + GOOD,
    "two equal lengths": head("content-length: 16", "content-length: 16") + GOOD,
    "length list": head("content-length: 16, 16") + GOOD,
    "negative length": head("content-length: -16") + GOOD,
    "signed length": head("content-length: +16") + GOOD,
    "hex length": head("content-length: 0x10") + GOOD,
    "float length": head("content-length: 16.0") + GOOD,
    "endless length": head("content-length: " + "9" * 100) + GOOD,
    "unknown coding": head("transfer-encoding: gzip") + GOOD,
    "coding after chunked": head("transfer-encoding: chunked, gzip") + GOOD,
    "two codings": head("transfer-encoding: chunked", "transfer-encoding: identity")
    + b"10\r\n"
    + GOOD
    + b"\r\n0\r\n\r\n",
    "chunked look-alike": head("transfer-encoding: xchunked") + GOOD,
    "chunk size is no number": head("transfer-encoding: chunked") + b"zz\r\n" + GOOD,
    "negative chunk size": head("transfer-encoding: chunked") + b"-10\r\n" + GOOD,
    "endless chunk size": head("transfer-encoding: chunked") + b"f" * 64 + b"\r\n" + GOOD,
    "chunk longer than told": head("transfer-encoding: chunked") + b"4\r\n" + GOOD + b"\r\n0\r\n\r\n",
    "chunks without end": head("transfer-encoding: chunked") + b"10\r\n" + GOOD + b"\r\n",
    "endless chunk extension": head("transfer-encoding: chunked") + b"10;" + b"a" * 100_000 + b"\r\n" + GOOD,
    "endless trailer": head("transfer-encoding: chunked") + b"10\r\n" + GOOD + b"\r\n0\r\nx: " + b"a" * 100_000,
    "huge header": head("x-a: " + "a" * 20_000, "content-length: 16") + GOOD,
    "many headers": head(*[f"x-{i}: y" for i in range(3_000)], "content-length: 16") + GOOD,
    "huge path": request(GOOD, path="/" + "a" * 20_000),
    "no host": request(GOOD, host=None),
    "two hosts": request(GOOD, "host: other"),
    "empty host": request(GOOD, host=""),
    "two keys": request(GOOD, "authorization: Bearer other"),
    "host with space": request(GOOD, host="a b"),
    "host with path": request(GOOD, host="a/b"),
    "host with user": request(GOOD, host="a@b"),
    "host with bad port": request(GOOD, host="a:99999"),
    "encoded slash": request(GOOD, path="/v1%2fchat/completions"),
    "dots in the path": request(GOOD, path="/v1/../v1/chat/completions"),
    "two slashes": request(GOOD, path="//v1/chat/completions"),
    "nul in the path": request(GOOD, path="/v1/chat/completions%00"),
    "utf-8 in the path": request(GOOD, path="/v1/chat/complet\xc3\xafons"),
    "absolute form of another place": request(GOOD, path="http://engine.internal:8000/v1/nothing"),
    "connect": request(GOOD, method="CONNECT", path="engine.internal:443"),
    "half a body": head("content-length: 100") + GOOD,
    "half a head": head("content-length: 16")[:60],
    "half a head and a line end": b"POST /v1/chat/completions HTTP/1.1\r\nhost: h\r\n",
    "compressed": request(b"\x1f\x8b\x08", "content-encoding: gzip"),
    "line feed in the path": b"POST /v1/\nchat/completions HTTP/1.1\r\nhost: h\r\n\r\n",
}

BODIES = {
    "empty": b"",
    "blank": b" \n",
    "nul": b"\0",
    "byte order mark": b"\xef\xbb\xbf" + GOOD,
    "utf-16": GOOD.decode().encode("utf-16"),
    "invalid utf-8": b'{"model":"smol","a":"\xff\xfe"}',
    "overlong utf-8": b'{"model":"smol","a":"\xc0\xaf"}',
    "encoded surrogate": b'{"model":"smol","a":"\xed\xa0\x80"}',
    "lone surrogate": b'{"model":"smol","a":"\\ud800"}',
    "control character": b'{"model":"smol","a":"\x01"}',
    "bad escape": b'{"model":"smol","a":"\\x41"}',
    "not an object": b"[]",
    "null": b"null",
    "two values": GOOD + GOOD,
    "cut off": b'{"model":"smol"',
    "trailing comma": b'{"model":"smol",}',
    "nan": b'{"model":"smol","temperature":NaN}',
    "leading zero": b'{"model":"smol","n":01}',
    "deep lists": b'{"model":"smol","a":' + b"[" * DEEP + b"]" * DEEP + b"}",
    "deep objects": b'{"model":"smol","a":' + b'{"a":' * DEEP + b"1" + b"}" * DEEP + b"}",
    "unclosed depth": b'{"model":"smol","a":' + b"[" * DEEP,
    "number of 10,000 digits": b'{"model":"smol","seed":' + b"1" * 10_000 + b"}",
    "inner number of 10,000 digits": b'{"model":"smol","a":[{"b":-' + b"7" * 10_000 + b"}]}",
    "max_tokens of 10,000 digits": b'{"model":"smol","max_tokens":' + b"1" * 10_000 + b"}",
    "duplicate model, the last is no text": b'{"model":"smol","model":1}',
    "model is null": b'{"model":null}',
    "model is a list": b'{"model":["smol"]}',
    "no model": b'{"messages":[]}',
    "model in capitals": b'{"MODEL":"smol"}',
    "model with nul": b'{"model":"smol\\u0000"}',
    "huge model": b'{"model":"' + b"s" * 100_000 + b'"}',
    "stream is text": b'{"model":"smol","stream":"true"}',
    "stream is a number": b'{"model":"smol","stream":1}',
    "stream_options is a list": b'{"model":"smol","stream":true,"stream_options":[]}',
    "include_usage is text": b'{"model":"smol","stream":true,"stream_options":{"include_usage":"no"}}',
    "negative max_tokens": b'{"model":"smol","max_tokens":-1}',
    "huge max_tokens": b'{"model":"smol","max_tokens":99999999999999999999}',
    "float max_tokens": b'{"model":"smol","max_tokens":1.5}',
    "text max_tokens": b'{"model":"smol","max_tokens":"16"}',
    "boolean max_tokens": b'{"model":"smol","max_tokens":true}',
    "n of 0": b'{"model":"smol","n":0}',
    "negative n": b'{"model":"smol","n":-1}',
    "remote picture": b'{"model":"smol","messages":[{"content":[{"image_url":{"url":"http://169.254.169.254/"}}]}]}',
}


async def refused(gateway: Gateway, engine: Engine, *pieces: bytes) -> None:
    received = await send(gateway, *(piece.replace(b"{key}", gateway.key.token.encode()) for piece in pieces))
    for status, body in answers(received):
        assert 400 <= status < 500
        assert set(body["error"]) == {"message", "type", "param", "code"}
        assert body["error"]["message"]
        assert "Traceback" not in body["error"]["message"]
        assert gateway.key.token not in json.dumps(body)
    assert not engine.asked


@pytest.mark.parametrize("name", FRAMING)
async def test_broken_http_is_refused(name: str, gateway: Gateway, engine: Engine) -> None:
    await refused(gateway, engine, FRAMING[name])


@pytest.mark.parametrize("name", BODIES)
async def test_broken_body_is_refused(name: str, gateway: Gateway, engine: Engine) -> None:
    received = await send(gateway, request(BODIES[name]).replace(b"{key}", gateway.key.token.encode()))
    (status, body), *more = answers(received)
    assert 400 <= status < 500
    assert set(body["error"]) == {"message", "type", "param", "code"}
    assert not more
    assert not engine.asked


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "PROPFIND", "QUERY"])
async def test_unusual_methods(method: str, gateway: Gateway, engine: Engine) -> None:
    received = await send(gateway, head(method=method).replace(b"{key}", gateway.key.token.encode()))
    assert received.startswith((b"HTTP/1.1 405", b"HTTP/1.1 400"))
    if received.startswith(b"HTTP/1.1 405"):
        assert b"\r\nallow: POST\r\n" in received
    assert not engine.asked


async def test_slow_head_and_slow_body_end_in_time(gateway: Gateway, engine: Engine) -> None:
    whole = request(GOOD)
    await refused(gateway, engine, *[whole[i : i + 1] for i in range(60)])
    await refused(gateway, engine, whole[:-10], b"1", b"2")


@pytest.mark.parametrize("name", ["x-request-id", "traceparent", "tracestate", "accept"])
async def test_headers_never_begin_a_line_of_their_own(name: str, gateway: Gateway, engine: Engine) -> None:
    for value in ("a\rx-injected: 1", "a\nx-injected: 1", "a\0b", "a" * 200):
        sent = request(GOOD, f"{name}: {value}").replace(b"{key}", gateway.key.token.encode())
        received = await send(gateway, sent)
        assert b"x-injected: 1\r\n" not in received.partition(b"\r\n\r\n")[0]
    assert all("x-injected" not in asked.headers for asked in engine.asked)
    assert all(len(asked.headers["x-request-id"]) <= 128 for asked in engine.asked)


@pytest.mark.parametrize(
    "line", ["expect: 100-continue", "upgrade: websocket", "upgrade: h2c", "te: trailers", "x-forwarded-host: evil"]
)
async def test_hop_by_hop_wishes_change_nothing(line: str, gateway: Gateway, engine: Engine) -> None:
    received = await send(gateway, request(GOOD, line).replace(b"{key}", gateway.key.token.encode()))
    assert received.removeprefix(b"HTTP/1.1 100 Continue\r\n\r\n").startswith(b"HTTP/1.1 200")
    assert line.partition(":")[0] not in engine.asked[0].headers


async def test_absolute_form_is_taken_by_its_path(gateway: Gateway, engine: Engine) -> None:
    sent = request(GOOD, path=f"http://evil.example{PATH}").replace(b"{key}", gateway.key.token.encode())
    received = await send(gateway, sent)
    assert received.startswith((b"HTTP/1.1 200", b"HTTP/1.1 4"))
    assert all("evil" not in asked.headers["host"] for asked in engine.asked)


async def test_broken_request_ends_a_pipeline(gateway: Gateway, engine: Engine) -> None:
    """What follows broken framing is never taken for a request."""
    smuggled = request(GOOD, "x-request-id: smuggled")
    for broken in ("length and chunks", "two lengths", "chunk size is no number", "space before colon"):
        sent = (FRAMING[broken] + smuggled).replace(b"{key}", gateway.key.token.encode())
        assert b"smuggled" not in await send(gateway, sent)
    assert not engine.asked


async def test_unknown_fields_pass_on(gateway: Gateway, engine: Engine) -> None:
    fields = {"model": "smol", "from_the_future": {"a": [1, None, "é"]}, "n": None, "max_tokens": None, "": 0}
    received = await send(gateway, request(json.dumps(fields).encode()).replace(b"{key}", gateway.key.token.encode()))
    assert received.startswith(b"HTTP/1.1 200")
    assert engine.asked[0].json == {**fields, "model": "served"}


@pytest.mark.parametrize("path", ENDPOINTS)
async def test_every_endpoint_refuses_in_its_shape(path: str, gateway: Gateway, engine: Engine) -> None:
    for body in (b"", b"[]", b'{"model":"none"}'):
        answer = await gateway.http.post(path, content=body, headers=gateway.authorization)
        assert answer.status_code in {400, 404}
        error = answer.json()
        if path.startswith("/v1/messages"):
            assert error["type"] == "error"
            assert error["request_id"] == answer.headers["x-request-id"]
        else:
            assert set(error["error"]) == {"message", "type", "param", "code"}
    assert not engine.asked


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text() | st.sampled_from(["image_url", "source", "url"]), inner),
    max_leaves=12,
)
KNOWN = st.sampled_from(["model", "stream", "stream_options", "max_tokens", "n", "messages", "input", "source"])


@given(st.dictionaries(KNOWN | st.text(), JSON), st.sampled_from(sorted(ENDPOINTS)))
def test_any_json_is_read_or_refused(fields: dict[str, Any], path: str) -> None:
    _read(path, json.dumps(fields).encode())


@given(st.binary(max_size=200) | st.text(alphabet='{}[]",:\\ue0019-.tfn ', max_size=80).map(str.encode))
@settings(suppress_health_check=[HealthCheck.too_slow])
def test_any_bytes_are_read_or_refused(body: bytes) -> None:
    for path in (PATH, "/v1/messages"):
        _read(path, body)


def _read(path: str, body: bytes) -> None:
    try:
        call = ENDPOINTS[path].read(body)
        check_media(call, ())
    except BadRequest:
        return
    assert json.loads(call.body_for("served"))["model"] == "served"


async def test_random_bytes_on_the_wire(gateway: Gateway, engine: Engine) -> None:
    for _ in range(20):
        await refused(gateway, engine, secrets.token_bytes(300) + b"\r\n\r\n")
