"""What is not proper HTTP gets a clear 4xx and a closed connection; no engine hears of it."""

import asyncio
import json

import pytest

from tests.inference.conftest import Gateway, Start, route
from tests.inference.engine import Engine


@pytest.fixture
async def gateway(start: Start, engine: Engine) -> Gateway:
    return await start(
        route("smol", engine.url), SIGNALBOX_GATEWAY_HEADER_SECONDS="1", SIGNALBOX_GATEWAY_BODY_SECONDS="1"
    )


async def exchange(gateway: Gateway, data: bytes) -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", gateway.port)
    writer.write(data)
    try:
        return await asyncio.wait_for(reader.read(), 5)
    except ConnectionResetError:
        return b""
    finally:
        writer.close()


def post(gateway: Gateway, *lines: str, body: bytes = b"") -> bytes:
    head = ["POST /v1/chat/completions HTTP/1.1", f"authorization: Bearer {gateway.key.token}", *lines, "", ""]
    return "\r\n".join(head).encode() + body


async def test_broken_framing_is_400_in_openais_shape(gateway: Gateway, engine: Engine) -> None:
    head, _, body = (await exchange(gateway, b"NOT HTTP AT ALL\r\n\r\n")).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 400")
    assert b"x-request-id" in head
    assert json.loads(body)["error"]["code"] == "invalid_request"


async def test_two_lengths_are_refused(gateway: Gateway, engine: Engine) -> None:
    body = b'0\r\n\r\n{"model":"smol"}'
    for lines in (
        ("host: x", "content-length: 16", "transfer-encoding: chunked"),
        ("host: x", "content-length: 16", "content-length: 21"),
        ("host: x", "content-length: -1"),
        ("host: x", "content-length: 1e3"),
    ):
        assert (await exchange(gateway, post(gateway, *lines, body=body))).startswith(b"HTTP/1.1 400"), lines
    assert not engine.asked


async def test_head_over_the_limit_is_431(gateway: Gateway, engine: Engine) -> None:
    for lines in (("host: x", "x-long: " + "a" * 20_000), ("host: x", *[f"x-{i}: y" for i in range(3000)])):
        assert (await exchange(gateway, post(gateway, *lines))).startswith(b"HTTP/1.1 431")
    endless = post(gateway, "host: x").removesuffix(b"\r\n") + b"x: " + b"a" * 40_000
    assert (await exchange(gateway, endless)).startswith(b"HTTP/1.1 431")
    assert not engine.asked


async def test_refused_before_all_was_sent_still_reads_why(gateway: Gateway, engine: Engine) -> None:
    """A reset would take the answer away from whoever still writes."""
    reader, writer = await asyncio.open_connection("127.0.0.1", gateway.port)
    writer.write(post(gateway, "host: x").removesuffix(b"\r\n") + b"x: " + b"a" * 20_000)
    await asyncio.sleep(0.2)
    writer.write(b"a" * 20_000 + b"\r\n\r\n" + post(gateway, "host: x", "content-length: 16", body=b'{"model":"smol"}'))
    await writer.drain()
    answered = await asyncio.wait_for(reader.read(), 5)
    assert answered.startswith(b"HTTP/1.1 431")
    assert answered.count(b"HTTP/1.1") == 1
    assert not engine.asked, "what follows a refused request is no request"
    writer.close()


async def test_pipelined_behind_a_refused_one_is_not_served(gateway: Gateway, engine: Engine) -> None:
    long = post(gateway, "host: x", "content-length: 0", "x-long: " + "a" * 17_000)
    served = post(gateway, "host: x", "content-length: 16", body=b'{"model":"smol"}')
    answered = await exchange(gateway, long + served)
    assert answered.startswith(b"HTTP/1.1 431")
    assert answered.count(b"HTTP/1.1") == 1
    await asyncio.sleep(0.2)
    assert not engine.asked


async def test_absent_host_is_400(gateway: Gateway, engine: Engine) -> None:
    request = post(gateway, "connection: close", "content-length: 16", body=b'{"model":"smol"}')
    assert (await exchange(gateway, request)).startswith(b"HTTP/1.1 400")
    assert not engine.asked


async def test_slow_head_is_cut_off(gateway: Gateway) -> None:
    assert (await exchange(gateway, b"POST /v1/chat/completions HT")).startswith(b"HTTP/1.1 408")
    assert await exchange(gateway, b"") == b""


async def test_slow_second_head_is_cut_off(gateway: Gateway) -> None:
    answer = await exchange(gateway, b"GET /healthz HTTP/1.1\r\nhost: x\r\n\r\nGET /hea")
    assert answer.startswith(b"HTTP/1.1 200")
    assert b"HTTP/1.1 408" in answer


async def test_half_sent_body_is_408(gateway: Gateway, engine: Engine) -> None:
    answer = await exchange(gateway, post(gateway, "host: x", "content-length: 100", body=b'{"model"'))
    assert answer.startswith(b"HTTP/1.1 408")
    assert not engine.asked


async def test_pipelined_requests_are_answered_in_order(gateway: Gateway, engine: Engine) -> None:
    one = post(gateway, "host: x", "content-length: 16", "x-request-id: one", body=b'{"model":"smol"}')
    two = post(
        gateway, "host: x", "content-length: 16", "x-request-id: two", "connection: close", body=b'{"model":"none"}'
    )
    answer = await exchange(gateway, one + two)
    assert answer.index(b"x-request-id: one") < answer.index(b"x-request-id: two")
    assert answer.count(b"HTTP/1.1 200") == 1
    assert answer.count(b"HTTP/1.1 404") == 1


async def test_encoded_path_is_no_way_around(gateway: Gateway, engine: Engine) -> None:
    for path in (
        "/v1/chat%2fcompletions",
        "/v1//chat/completions",
        "/v1/chat/completions/",
        "/v1/chat/../chat/completions",
    ):
        request = f"POST {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: 0\r\n\r\n".encode()
        answer = await exchange(gateway, request)
        assert answer.startswith((b"HTTP/1.1 404", b"HTTP/1.1 401")), path
    assert not engine.asked
