"""Through nginx to a real gateway: chunks at once, leaving clients, who called, and what nginx answers by itself."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
import pytest

from tests.inference.conftest import RegisterReader, Start, free_port, route
from tests.inference.engine import DONE, STREAM_HEAD, Asked, Engine, chunk, delta, plain, silence
from tests.nginx import LOCAL, Nginx, NginxFor, Tls
from tests.waiting import eventually

TRUST = {"SIGNALBOX_TRUSTED_PROXIES": LOCAL}
BODY = {"model": "smol", "messages": [{"role": "user", "content": "hi"}]}
CHAT = "/v1/chat/completions"


@asynccontextmanager
async def client(nginx: Nginx, tls: Tls, **headers: str) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(
        base_url=nginx.url, verify=tls.client, trust_env=False, timeout=20, headers=headers
    ) as http:
        yield http


async def test_each_chunk_comes_before_the_next_is_sent(start: Start, nginx_for: NginxFor, tls: Tls) -> None:
    """The engine sends a piece only when the client has seen the one before, so nothing in between can hold it back."""
    seen = asyncio.Semaphore(0)

    async def one_by_one(engine: Engine, asked: Asked, writer: asyncio.StreamWriter) -> None:
        writer.write(STREAM_HEAD)
        for number in range(20):
            writer.write(chunk(delta(f"piece {number}.")))
            await writer.drain()
            await asyncio.wait_for(seen.acquire(), 10)
        writer.write(chunk(DONE) + b"0\r\n\r\n")
        await writer.drain()

    async with Engine(one_by_one) as engine:
        gateway = await start(route("smol", engine.url), **TRUST)
        nginx = await nginx_for(gateway=gateway.port)
        got, number = "", 0
        async with (
            client(nginx, tls, **gateway.authorization) as http,
            http.stream("POST", CHAT, json={**BODY, "stream": True}) as answer,
        ):
            assert answer.status_code == 200
            assert answer.headers["transfer-encoding"] == "chunked"
            async for text in answer.aiter_text():
                got += text
                while f"piece {number}." in got:
                    number += 1
                    seen.release()
    assert number == 20
    assert "[DONE]" in got


async def test_a_client_that_leaves_reaches_the_engine(
    start: Start, nginx_for: NginxFor, tls: Tls, register: RegisterReader
) -> None:
    async with Engine(silence) as engine:
        gateway = await start(route("smol", engine.url), **TRUST)
        nginx = await nginx_for(gateway=gateway.port)
        async with client(nginx, tls, **gateway.authorization) as http:
            asking = asyncio.create_task(http.post(CHAT, json=BODY))
            await eventually(lambda: engine.open == 1)
            asking.cancel()
            await asyncio.gather(asking, return_exceptions=True)
        await asyncio.wait_for(engine.gone.wait(), 10)
    await eventually(lambda: register.rows(kind="outcome", status="client_closed"))


async def test_who_called_stands_in_the_register(
    start: Start, engine: Engine, nginx_for: NginxFor, tls: Tls, register: RegisterReader
) -> None:
    """The address is the client's as nginx sees it, whatever the client says of itself; its request id stays."""
    gateway = await start(route("smol", engine.url), **TRUST)
    nginx = await nginx_for(gateway=gateway.port)
    lies = {"x-forwarded-for": "203.0.113.9", "forwarded": "for=203.0.113.9", "x-request-id": "from-the-client-1"}
    async with _from("127.0.0.7", nginx, tls) as http:
        answer = await http.post(CHAT, json=BODY, headers={**gateway.authorization, **lies})
    assert answer.status_code == 200
    assert answer.headers["x-request-id"] == "from-the-client-1"
    await eventually(lambda: register.rows(kind="outcome", request_id="from-the-client-1"))
    for row in register.rows(request_id="from-the-client-1"):
        assert str(row["source_ip"]) == "127.0.0.7"


@asynccontextmanager
async def _from(address: str, nginx: Nginx, tls: Tls) -> AsyncIterator[httpx.AsyncClient]:
    """A client that calls from this address."""
    transport = httpx.AsyncHTTPTransport(verify=tls.client, local_address=address, trust_env=False)
    async with httpx.AsyncClient(base_url=nginx.url, transport=transport, timeout=20) as http:
        yield http


async def test_a_request_without_an_id_gets_one_for_all_logs(
    start: Start, engine: Engine, nginx_for: NginxFor, tls: Tls, register: RegisterReader
) -> None:
    gateway = await start(route("smol", engine.url), **TRUST)
    nginx = await nginx_for(gateway=gateway.port)
    async with client(nginx, tls, **gateway.authorization) as http:
        answer = await http.post(f"{CHAT}?secret=1", json=BODY)
    await eventually(lambda: register.rows(kind="outcome"))
    log = nginx.log.with_name("access.log")
    await eventually(lambda: log.exists() and log.read_text().count("\n") == 1)
    line = json.loads(log.read_text())
    assert line["request_id"] == answer.headers["x-request-id"] == register.rows()[0]["request_id"]
    assert (line["path"], line["status"], line["client"]) == (CHAT, 200, LOCAL)
    assert "secret" not in log.read_text()


async def test_a_body_as_large_as_the_gateway_takes_passes(
    start: Start, engine: Engine, nginx_for: NginxFor, tls: Tls
) -> None:
    """One byte more gets 413 in the shape of the gateway's own errors."""
    gateway = await start(route("smol", engine.url), **TRUST)
    nginx = await nginx_for(gateway=gateway.port)
    empty = len(json.dumps({**BODY, "user": ""}))
    async with client(nginx, tls, **gateway.authorization, **{"content-type": "application/json"}) as http:
        for more, status in ((0, 200), (1, 413)):
            text = json.dumps({**BODY, "user": "x" * (4 * 1024 * 1024 - empty + more)})
            answer = await http.post(CHAT, content=text)
            assert answer.status_code == status, answer.text
    assert answer.json()["error"]["code"] == "body_too_large"
    assert len(engine.asked) == 1


async def test_the_gateways_own_errors_come_through(
    start: Start, engine: Engine, nginx_for: NginxFor, tls: Tls
) -> None:
    gateway = await start(route("smol", engine.url), **TRUST)
    nginx = await nginx_for(gateway=gateway.port)
    async with client(nginx, tls) as http:
        answer = await http.post(CHAT, json=BODY, headers={"authorization": "Bearer sbx_nobody"})
    assert answer.status_code == 401
    assert answer.json()["error"]["type"]


async def test_without_a_gateway_clients_read_an_error_that_they_know(nginx_for: NginxFor, tls: Tls) -> None:
    nginx = await nginx_for()
    async with client(nginx, tls) as http:
        answer = await http.post(CHAT, json=BODY)
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")
    assert answer.json()["error"]["code"] == "gateway_away"


async def test_nothing_is_asked_twice(nginx_for: NginxFor, tls: Tls) -> None:
    """What breaks before its answer is not sent again, on a kept connection neither: it may have been generated."""

    async def only_once(engine: Engine, asked: Asked, writer: asyncio.StreamWriter) -> None:
        if len(engine.asked) > 1:
            writer.transport.abort()
            return
        writer.write(plain(b"{}"))
        await writer.drain()

    async with Engine(only_once) as engine:
        nginx = await nginx_for(gateway=engine.port)
        async with client(nginx, tls) as http:
            statuses = [(await http.post(CHAT, json=BODY)).status_code for _ in range(3)]
        assert statuses == [200, 503, 503]
        assert len(engine.asked) == 3


async def test_connections_to_the_gateway_are_kept(nginx_for: NginxFor, tls: Tls) -> None:
    async def answer(engine: Engine, asked: Asked, writer: asyncio.StreamWriter) -> None:
        assert asked.line.endswith("HTTP/1.1")
        assert "connection" not in asked.headers
        writer.write(plain(b"{}"))
        await writer.drain()

    async with Engine(answer) as engine:
        nginx = await nginx_for(gateway=engine.port)
        async with client(nginx, tls) as http:
            for _ in range(5):
                assert (await http.post(CHAT, json=BODY)).status_code == 200
        assert engine.connections == 1


async def test_a_slow_body_does_not_reach_the_gateway(nginx_for: NginxFor, tls: Tls) -> None:
    async with Engine(silence) as engine:
        nginx = await nginx_for(gateway=engine.port)
        _, writer = await asyncio.open_connection(LOCAL, nginx.gateway_port, ssl=tls.client)
        writer.write(f"POST {CHAT} HTTP/1.1\r\nhost: x\r\ncontent-length: 100000\r\n\r\n".encode() + b"x" * 50_000)
        await writer.drain()
        await asyncio.sleep(0.3)
        assert engine.asked == []
        assert not [file for file in nginx.log.parent.glob("nginx-body/**/*") if file.is_file()]
        writer.write(b"x" * 50_000)
        await eventually(lambda: len(engine.asked) == 1)
        assert len(engine.asked[0].body) == 100_000
        writer.close()


@pytest.mark.parametrize("path", ["/metrics"])
async def test_metrics_are_not_for_clients(nginx_for: NginxFor, tls: Tls, path: str) -> None:
    async with Engine(silence) as console:
        nginx = await nginx_for(console=console.port)
        async with httpx.AsyncClient(verify=tls.client, trust_env=False) as http:
            assert (await http.get(f"{nginx.console_url}{path}")).status_code == 404
        assert console.asked == []


async def test_it_is_healthy(nginx_for: NginxFor) -> None:
    nginx = await nginx_for(gateway=free_port())
    async with httpx.AsyncClient(trust_env=False) as http:
        assert (await http.get(f"http://{LOCAL}:{nginx.health_port}/healthz")).status_code == 200
