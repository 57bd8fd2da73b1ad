"""Bodies by policy: a project that wants none leaves none, others are masked or whole, and always encrypted."""

import asyncio
import hashlib
import json
import os
import signal
from pathlib import Path

import psycopg
import pytest

from inference.contract.bodies import SEEN
from tests.inference.conftest import Database, Gateway, Publisher, RegisterReader, Start, new_key, route
from tests.inference.engine import DONE, STREAM_HEAD, Asked, Engine, chunk, delta, event
from tests.inference.keeping import Person, kept
from tests.waiting import eventually

PHONE = "13800138000"


@pytest.fixture
def person() -> Person:
    return Person()


async def open_for(
    start: Start, publisher: Publisher, engine: Engine, person: Person, mode: str, **how: str
) -> Gateway:
    """A gateway whose test key keeps bodies."""
    gateway = await start(route("smol", engine.url), **how)
    gateway.key = person.api_key(mode)
    publisher.key(gateway.key)
    await eventually(lambda: _knows(gateway))
    return gateway


async def _knows(gateway: Gateway) -> bool:
    return (await gateway.http.get("/v1/models", headers=gateway.authorization)).status_code == 200


def say(*pieces: bytes) -> object:
    """An engine that streams these events."""

    async def script(engine: Engine, asked: Asked, writer: asyncio.StreamWriter) -> None:
        writer.write(STREAM_HEAD + b"".join(map(chunk, pieces)) + b"0\r\n\r\n")
        await writer.drain()

    return script


@pytest.mark.parametrize("mode", ["digest", "metadata"])
async def test_project_that_keeps_none_leaves_none(
    start: Start, publisher: Publisher, engine: Engine, person: Person, owner_url: str, mode: str
) -> None:
    gateway = await open_for(start, publisher, engine, person, mode)
    assert (await gateway.chat(f"call {PHONE}")).status_code == 200
    assert kept(owner_url, person) == []


@pytest.mark.parametrize("stream", [False, True])
async def test_full_bodies_match_the_digests(
    start: Start, publisher: Publisher, engine: Engine, person: Person, owner_url: str, stream: bool
) -> None:
    gateway = await open_for(start, publisher, engine, person, "full")
    answer = await gateway.chat(f"call {PHONE}", stream=stream)
    asked, answered = kept(owner_url, person)
    assert (asked.row["side"], answered.row["side"]) == ("input", "output")
    assert (asked.content, answered.content) == (answer.request.content, answer.content)
    reader = RegisterReader(owner_url, gateway.key)
    intent, outcome = reader.rows()
    assert (asked.row["event_id"], answered.row["event_id"]) == (intent["id"], outcome["id"])
    assert hashlib.sha256(asked.content).digest() == intent["input_digest"]
    assert hashlib.sha256(answered.content).digest() == outcome["output_digest"]
    assert (asked.row["mode"], asked.row["data_domain"], asked.row["truncated"]) == ("full", "business", False)
    assert outcome["detail"]["kept"] == "full"


async def test_masked_input_stays_json(
    start: Start, publisher: Publisher, engine: Engine, person: Person, owner_url: str
) -> None:
    gateway = await open_for(start, publisher, engine, person, "masked")
    answer = await gateway.chat(f"call {PHONE}")
    asked, answered = kept(owner_url, person)
    assert json.loads(asked.text)["messages"][0]["content"] == "call [MOBILE]"
    assert json.loads(engine.asked[0].body)["messages"][0]["content"] == f"call {PHONE}"
    assert answered.text == answer.text
    assert asked.row["size"] == len(answer.request.content)


async def test_number_that_two_chunks_share_is_masked(
    start: Start, publisher: Publisher, person: Person, owner_url: str
) -> None:
    async with Engine(say(delta("打 138001"), delta("38000 吧"), DONE)) as engine:  # type: ignore[arg-type]
        gateway = await open_for(start, publisher, engine, person, "masked")
        assert "138001" in (await gateway.chat(stream=True)).text
    answered = kept(owner_url, person)[1]
    assert json.loads(answered.text) == {"streamed": {"choices.0.content": "打 [MOBILE] 吧"}}


async def test_anthropics_shape(start: Start, publisher: Publisher, person: Person, owner_url: str) -> None:
    pieces = [
        event({"type": "message_start", "message": {"usage": {"input_tokens": 1, "output_tokens": 1}}}),
        event({"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "me@exam"}}),
        event({"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "ple.com"}}),
        event({"type": "message_stop"}),
    ]
    async with Engine(say(*pieces)) as engine:  # type: ignore[arg-type]
        gateway = await open_for(start, publisher, engine, person, "masked")
        body = {"model": "smol", "stream": True, "max_tokens": 5, "messages": [{"role": "user", "content": PHONE}]}
        answer = await gateway.http.post("/v1/messages", json=body, headers=gateway.authorization)
    assert answer.status_code == 200
    asked, answered = kept(owner_url, person)
    assert PHONE not in asked.text
    assert json.loads(answered.text) == {"streamed": {"content.0.text": "[EMAIL]"}}


async def test_what_is_too_long_is_cut_and_said_so(
    start: Start, publisher: Publisher, engine: Engine, person: Person, owner_url: str
) -> None:
    gateway = await open_for(start, publisher, engine, person, "full", SIGNALBOX_GATEWAY_KEPT_BYTES="1024")
    await gateway.chat("x" * 5000)
    asked, answered = kept(owner_url, person)
    assert (len(asked.content), asked.row["truncated"], asked.row["size"] > 5000) == (1024, True, True)
    assert not answered.row["truncated"]


async def test_nothing_is_served_without_a_key_to_encrypt_to(
    start: Start, publisher: Publisher, engine: Engine
) -> None:
    gateway = await start(route("smol", engine.url))
    gateway.key = new_key(register_mode="full")
    publisher.key(gateway.key)
    await eventually(lambda: _knows(gateway))
    answer = await gateway.chat()
    assert (answer.status_code, answer.json()["error"]["code"]) == (503, "audit_unavailable")
    assert engine.asked == []


async def test_nothing_lies_readable_in_the_database_or_the_log(
    start: Start, publisher: Publisher, engine: Engine, person: Person, owner_url: str
) -> None:
    gateway = await open_for(start, publisher, engine, person, "full")
    await gateway.chat(f"secret {PHONE}")
    with psycopg.connect(owner_url) as connection:
        connection.execute("SELECT set_config(%s, '*', false)", [SEEN])
        (found,) = connection.execute("SELECT string_agg(b::text, ' ') FROM audit_body b").fetchone() or ("",)
    assert "audit" not in found
    assert PHONE not in found
    assert PHONE.encode().hex() not in found
    assert PHONE not in gateway.log.read_text()


async def test_database_shows_none_to_who_tells_nothing(
    start: Start, publisher: Publisher, engine: Engine, person: Person, gateway_database: Database, owner_url: str
) -> None:
    gateway = await open_for(start, publisher, engine, person, "full")
    await gateway.chat()
    assert len(kept(owner_url, person)) == 2
    for url in (gateway_database.url, gateway_database.owner_url):
        with psycopg.connect(url) as connection:
            assert connection.execute("SELECT count(*) FROM audit_body").fetchone() == (0,)
            connection.execute("SELECT set_config(%s, 'beta', false)", [SEEN])
            assert connection.execute("SELECT count(*) FROM audit_body").fetchone() == (0,)
    with psycopg.connect(gateway_database.url) as connection, pytest.raises(psycopg.errors.InsufficientPrivilege):
        connection.execute("SELECT * FROM audit_body_rows")
    with psycopg.connect(owner_url) as connection, pytest.raises(psycopg.errors.RaiseException):
        connection.execute("DELETE FROM audit_body_rows")


async def test_kill_loses_no_acknowledged_body(
    start: Start, publisher: Publisher, engine: Engine, person: Person, owner_url: str
) -> None:
    gateway = await open_for(start, publisher, engine, person, "full", fresh=True)  # type: ignore[arg-type]
    answers = await asyncio.gather(*(gateway.chat(str(n), stream=bool(n % 2)) for n in range(20)))
    for pid in [gateway.process.pid, *gateway.workers()]:
        os.kill(pid, signal.SIGKILL)
    found = [body.content for body in kept(owner_url, person)]
    for answer in answers:
        assert answer.request.content in found
        assert answer.content in found


async def test_bodies_wait_in_the_spool_and_outlive_a_kill(
    start: Start, publisher: Publisher, engine: Engine, person: Person, owner_url: str, tmp_path: Path
) -> None:
    spool = {"SIGNALBOX_GATEWAY_SPOOL": "on", "SIGNALBOX_GATEWAY_SPOOL_DIR": str(tmp_path / "spool")}
    gateway = await open_for(start, publisher, engine, person, "full", fresh=True, **spool)  # type: ignore[arg-type]
    async with await psycopg.AsyncConnection.connect(owner_url) as connection:
        await connection.execute("LOCK TABLE audit_body IN ACCESS EXCLUSIVE MODE")
        answers = [await gateway.chat(f"{PHONE} {n}", stream=bool(n % 2)) for n in range(4)]
        assert [answer.status_code for answer in answers] == [200] * 4
        (file,) = (tmp_path / "spool").iterdir()
        assert PHONE.encode() not in file.read_bytes()
        for pid in [*gateway.workers(), gateway.process.pid]:
            os.kill(pid, signal.SIGKILL)
        await connection.rollback()
    await start(route("smol", engine.url), fresh=True, **spool)
    await eventually(lambda: len(kept(owner_url, person)) == 8)
    found = [body.content for body in kept(owner_url, person)]
    assert all(answer.request.content in found and answer.content in found for answer in answers)
    events = {row["id"] for row in RegisterReader(owner_url, gateway.key).rows()}
    assert {body.row["event_id"] for body in kept(owner_url, person)} <= events


async def test_masking_is_counted(start: Start, publisher: Publisher, engine: Engine, person: Person) -> None:
    gateway = await open_for(start, publisher, engine, person, "masked", fresh=True)  # type: ignore[arg-type]
    await gateway.chat(f"{PHONE} a@b.cn {PHONE}")

    async def counted() -> bool:
        text = (await gateway.operator_get("/metrics")).text
        return (
            'signalbox_gateway_masked_total{kind="mobile",project="alpha"} 2.0' in text
            and 'signalbox_gateway_masked_bodies_total{project="alpha",reason="clean"} 1.0' in text
        )

    await eventually(counted)
