"""Start, stop, and everything that dies in between."""

import asyncio
import os
import signal
import socket

import httpx
import psutil

from tests.inference.conftest import Gateway, RegisterReader, Start, route, spawn
from tests.inference.engine import DONE, STREAM_HEAD, Asked, Engine, chunk, delta
from tests.waiting import eventually


async def slow(engine: Engine, asked: Asked, writer: asyncio.StreamWriter) -> None:
    writer.write(STREAM_HEAD)
    for _ in range(20):
        writer.write(chunk(delta("x")))
        await writer.drain()
        await asyncio.sleep(0.1)
    writer.write(chunk(DONE) + b"0\r\n\r\n")
    await writer.drain()


async def test_killed_worker_is_replaced(start: Start, engine: Engine) -> None:
    gateway = await start(route("smol", engine.url), fresh=True, SIGNALBOX_GATEWAY_WORKERS="2")
    await eventually(lambda: len(gateway.workers()) == 2)
    killed = gateway.workers()[0]
    os.kill(killed, signal.SIGKILL)
    await eventually(lambda: killed not in gateway.workers() and len(gateway.workers()) == 2)
    await eventually(lambda: _all_serve(gateway))


async def _all_serve(gateway: Gateway) -> bool:
    try:
        async with httpx.AsyncClient(trust_env=False) as http:
            return (await http.get(f"{gateway.url}/readyz")).status_code == 200
    except httpx.TransportError:
        return False


async def test_stream_is_finished_after_sigterm(start: Start, register: RegisterReader) -> None:
    async with Engine(slow) as engine:
        gateway = await start(route("smol", engine.url), fresh=True)
        chat = asyncio.create_task(gateway.chat(stream=True))
        await eventually(lambda: engine.asked)
        gateway.process.send_signal(signal.SIGTERM)
        await eventually(lambda: _refuses(gateway))
        ready = await gateway.operator_get("/readyz")
        assert (ready.status_code, ready.json()["reasons"]) == (503, ["draining"])
        response = await chat
        assert response.text.endswith("[DONE]\n\n")
        assert await asyncio.to_thread(gateway.process.wait, 10) == 0
    assert register.rows(kind="outcome")[0]["status"] == "ok"


def _refuses(gateway: Gateway) -> bool:
    with socket.socket() as sock:
        return sock.connect_ex(("127.0.0.1", gateway.port)) != 0


async def test_kept_connection_is_answered_once_more_after_sigterm(start: Start, engine: Engine) -> None:
    gateway = await start(route("smol", engine.url), fresh=True)
    assert "connection" not in (await gateway.chat()).headers
    gateway.process.send_signal(signal.SIGTERM)
    await eventually(lambda: _refuses(gateway))
    last = await gateway.chat()
    assert (last.status_code, last.headers["connection"]) == (200, "close")


async def test_sigterm_ends_replaced_workers_too(start: Start) -> None:
    async with Engine(slow) as engine:
        gateway = await start(route("smol", engine.url), fresh=True)
        chat = asyncio.create_task(gateway.chat(stream=True))
        await eventually(lambda: engine.asked)
        gateway.process.send_signal(signal.SIGHUP)
        await eventually(lambda: len(gateway.workers()) == 2)
        workers = gateway.workers()
        gateway.process.send_signal(signal.SIGTERM)
        assert (await chat).text.endswith("[DONE]\n\n")
        assert await asyncio.to_thread(gateway.process.wait, 10) == 0
    assert not any(psutil.pid_exists(pid) for pid in workers)


async def test_drain_time_ends(start: Start, register: RegisterReader) -> None:
    async def endless(engine: Engine, asked: Asked, writer: asyncio.StreamWriter) -> None:
        writer.write(STREAM_HEAD)
        while True:
            writer.write(chunk(delta("x")))
            await writer.drain()
            await asyncio.sleep(0.05)

    async with Engine(endless) as engine:
        gateway = await start(route("smol", engine.url), fresh=True, SIGNALBOX_GATEWAY_DRAIN_SECONDS="1")
        chat = asyncio.create_task(gateway.chat(stream=True))
        await eventually(lambda: engine.asked)
        gateway.process.send_signal(signal.SIGTERM)
        await asyncio.to_thread(gateway.process.wait, 30)
        await asyncio.gather(chat, return_exceptions=True)
    assert register.rows(kind="outcome")[0]["status"] != "ok"


async def test_workers_do_not_outlive_a_killed_parent(start: Start, engine: Engine) -> None:
    gateway = await start(route("smol", engine.url), fresh=True)
    workers = gateway.workers()
    gateway.process.kill()
    gateway.process.wait()
    await eventually(lambda: not any(psutil.pid_exists(pid) for pid in workers))
    assert _refuses(gateway)


async def test_port_in_use_is_one_clear_line(start: Start, engine: Engine) -> None:
    gateway = await start(route("smol", engine.url))
    log = gateway.log.with_name("second.log")
    second = spawn(
        log,
        {
            "SIGNALBOX_GATEWAY_PORT": str(gateway.port),
            "SIGNALBOX_GATEWAY_METRICS_PORT": str(gateway.metrics_port),
            "DATABASE_URL": "postgresql:///x",
        },
    )
    assert await asyncio.to_thread(second.wait, 20) == 1
    assert f"port {gateway.port}" in log.read_text()
    assert "Traceback" not in log.read_text()


async def test_operators_port_in_use_is_one_clear_line(start: Start, engine: Engine) -> None:
    gateway = await start(route("smol", engine.url))
    log = gateway.log.with_name("second.log")
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port = str(sock.getsockname()[1])
    second = spawn(log, {"SIGNALBOX_GATEWAY_PORT": port, "SIGNALBOX_GATEWAY_METRICS_PORT": str(gateway.metrics_port)})
    assert await asyncio.to_thread(second.wait, 20) == 1
    assert f"port {gateway.metrics_port}" in log.read_text()
    assert "Traceback" not in log.read_text()


async def test_missing_setting_is_one_clear_line(start: Start, engine: Engine, tmp_path: object) -> None:
    gateway = await start(route("smol", engine.url))
    log = gateway.log.with_name("third.log")
    third = spawn(log, {"SECRET_KEY": ""})
    assert await asyncio.to_thread(third.wait, 20) == 1
    assert log.read_text().startswith("SECRET_KEY is not set")
