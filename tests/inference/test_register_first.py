"""No byte of an answer without its intent, no last byte without its outcome, nothing served without the register."""

import asyncio
import json
import socket
from pathlib import Path

import httpx
import psycopg
import pytest

from tests.inference.conftest import Gateway, RegisterReader, Start, route
from tests.inference.engine import DONE, STREAM_HEAD, Asked, Engine, chunk, delta, silence
from tests.waiting import eventually


async def lock(connection: psycopg.AsyncConnection) -> None:
    await connection.execute("LOCK TABLE audit_event IN ACCESS EXCLUSIVE MODE")


@pytest.mark.parametrize("stream", [False, True])
async def test_first_byte_waits_for_the_intent(start: Start, engine: Engine, owner_url: str, stream: bool) -> None:
    gateway = await start(route("smol", engine.url), SIGNALBOX_GATEWAY_REGISTER_SECONDS="5")
    async with await psycopg.AsyncConnection.connect(owner_url) as connection:
        await lock(connection)
        chat = asyncio.create_task(gateway.chat(stream=stream))
        await eventually(lambda: engine.asked)  # the engine works while the intent is written
        done, _ = await asyncio.wait({chat}, timeout=0.5)
        assert not done
        await connection.rollback()
        assert (await chat).status_code == 200


async def test_end_of_a_stream_waits_for_the_outcome(start: Start, owner_url: str) -> None:
    locked = asyncio.Event()

    async def wait_for_the_lock(engine: Engine, asked: Asked, writer: asyncio.StreamWriter) -> None:
        writer.write(STREAM_HEAD + chunk(delta("Paris")))
        await locked.wait()
        writer.write(chunk(DONE) + b"0\r\n\r\n")
        await writer.drain()

    body = {"model": "smol", "stream": True}
    async with Engine(wait_for_the_lock) as engine, await psycopg.AsyncConnection.connect(owner_url) as connection:
        gateway = await start(route("smol", engine.url), SIGNALBOX_GATEWAY_REGISTER_SECONDS="5")
        headers = gateway.authorization
        async with gateway.http.stream("POST", "/v1/chat/completions", json=body, headers=headers) as response:
            parts = response.aiter_text()
            assert "Paris" in await anext(parts)
            await lock(connection)
            locked.set()
            rest = asyncio.create_task(_rest(parts))
            await asyncio.sleep(0.4)
            assert not rest.done()
            await connection.rollback()
            assert await rest == "data: [DONE]\n\n"


async def _rest(parts: object) -> str:
    return "".join([part async for part in parts])  # type: ignore[attr-defined]


async def test_frozen_register_serves_nobody_and_heals(
    start: Start, engine: Engine, owner_url: str, register: RegisterReader
) -> None:
    gateway = await start(route("smol", engine.url))
    async with await psycopg.AsyncConnection.connect(owner_url) as connection:
        await lock(connection)
        for _ in range(3):
            response = await gateway.chat()
            assert (response.status_code, response.json()["error"]["code"]) == (503, "audit_unavailable")
        await connection.rollback()
    await eventually(lambda: _serves(gateway))
    assert register.rows(kind="outcome")[-1]["status"] == "ok"


async def test_frozen_register_ends_a_long_prefill(start: Start, owner_url: str) -> None:
    async with Engine(silence) as engine:
        gateway = await start(route("smol", engine.url))
        async with await psycopg.AsyncConnection.connect(owner_url) as connection:
            await lock(connection)
            response = await asyncio.wait_for(gateway.chat(), 3)
    assert response.json()["error"]["code"] == "audit_unavailable"
    assert engine.open == 0


async def _serves(gateway: Gateway) -> bool:
    return bool((await gateway.chat()).status_code == 200)


async def test_broken_connection_is_made_anew(start: Start, engine: Engine, database_url: str) -> None:
    gateway = await start(route("smol", engine.url))
    async with await psycopg.AsyncConnection.connect(database_url, autocommit=True) as connection:
        await connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid() AND usename = current_user"
        )
    await eventually(lambda: _serves(gateway))


async def test_gateway_starts_without_postgresql_and_says_why_it_is_not_ready(start: Start, engine: Engine) -> None:
    gateway = await start(route("smol", engine.url), ready=False, DATABASE_URL="postgresql:///x?host=/nowhere")
    await eventually(lambda: _answers(gateway))
    response = await gateway.chat()
    assert (response.status_code, response.json()["error"]["code"]) == (503, "audit_unavailable")
    assert "retry-after" in response.headers
    ready = (await gateway.http.get("/readyz")).json()
    assert not ready["ready"]
    assert "register" in ready["reasons"][0]
    models = await gateway.http.get("/v1/models", headers=gateway.authorization)
    assert models.json()["data"][0]["id"] == "smol"
    assert not engine.asked


async def test_gateway_that_starts_before_a_frozen_postgresql_serves_with_its_spool(
    start: Start, engine: Engine, tmp_path: Path
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as frozen:  # takes connections and says nothing
        gateway = await start(
            route("smol", engine.url), ready=False,
            DATABASE_URL=f"postgresql://u:p@127.0.0.1:{frozen.getsockname()[1]}/x",
            SIGNALBOX_GATEWAY_SPOOL="on", SIGNALBOX_GATEWAY_SPOOL_DIR=str(tmp_path / "spool"),
        )  # fmt: skip
        await eventually(lambda: _answers(gateway))
        statuses = list[int]()

        async def serves() -> bool:
            statuses.append((await gateway.chat()).status_code)
            return statuses[-1] == 200

        await eventually(serves)
        assert set(statuses) <= {200, 503}
        assert "no connection for 0.75 s" in gateway.log.read_text()


async def _answers(gateway: Gateway) -> bool:
    try:
        response = await gateway.http.get("/v1/models", headers=gateway.authorization)
    except httpx.TransportError:
        return False
    return bool(response.status_code == 200)


async def test_rows_of_one_writer_have_no_gap(start: Start, engine: Engine, register: RegisterReader) -> None:
    gateway = await start(route("smol", engine.url), fresh=True)
    await asyncio.gather(*(gateway.chat(stream=bool(i % 2)) for i in range(40)))
    rows = register.rows()
    assert sorted(row["writer_seq"] for row in rows) == list(range(1, len(rows) + 1))
    intents = [row["id"] for row in rows if row["kind"] == "intent"]
    outcomes = [row["parent_id"] for row in rows if row["kind"] == "outcome"]
    assert len(outcomes) == 40
    # A plain answer that came before its intent was on its way has one row that says both.
    assert sorted(parent for parent in outcomes if parent is not None) == sorted(intents)
    assert outcomes.count(None) <= 20


async def test_register_holds_no_content(start: Start, engine: Engine, register: RegisterReader) -> None:
    gateway = await start(route("smol", engine.url))
    await gateway.chat("my secret prompt")
    text = json.dumps(register.rows(), default=str)
    assert "secret prompt" not in text
    assert "Paris" not in text
    assert gateway.key.token not in text


async def test_register_knows_who_called_from_where(start: Start, engine: Engine, register: RegisterReader) -> None:
    gateway = await start(route("smol", engine.url))
    await gateway.chat()
    row = register.rows(kind="outcome")[0]
    assert (row["actor_id"], row["project"], row["auth_method"]) == (gateway.key.entry.id, "alpha", "bearer")
    assert (str(row["source_ip"]), row["client"].split("/")[0]) == ("127.0.0.1", "python-httpx")
    assert (row["operation"], row["route"], row["model_version"], row["replica"]) == (
        "inference.chat",
        "smol",
        "smollm2:1",
        "smol-0",
    )


async def test_refused_key_is_noted(start: Start, engine: Engine, register: RegisterReader) -> None:
    gateway = await start(route("smol", engine.url))
    await gateway.http.post("/v1/chat/completions", json={"model": "smol"}, headers={"x-api-key": "wrong"})
    await eventually(lambda: register.rows(kind="security"))
    row = register.rows(kind="security")[0]
    assert (row["status"], row["status_code"], row["actor_type"]) == ("invalid_api_key", 401, "anonymous")


async def test_request_id_that_is_a_key_is_replaced(start: Start, engine: Engine, register: RegisterReader) -> None:
    """It would stand in the register and in logs."""
    gateway = await start(route("smol", engine.url))
    headers = {**gateway.authorization, "x-request-id": gateway.key.token}
    response = await gateway.http.post("/v1/chat/completions", json={"model": "smol", "messages": []}, headers=headers)
    assert response.status_code == 200
    assert response.headers["x-request-id"] != gateway.key.token
    assert not register.rows(request_id=gateway.key.token)
