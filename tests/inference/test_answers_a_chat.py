"""The main road: a chat through the gateway, plain and streamed, with its two rows in the register."""

import asyncio
import hashlib

import pytest

from tests.inference.conftest import Gateway, Publisher, RegisterReader, Start, new_key, route
from tests.inference.engine import COMPLETION, Asked, Engine, answer
from tests.waiting import eventually


async def late(engine: Engine, asked: Asked, writer: asyncio.StreamWriter) -> None:
    await asyncio.sleep(0.2)
    await answer(engine, asked, writer)


async def known(gateway: Gateway) -> bool:
    return (await gateway.http.get("/v1/models", headers=gateway.authorization)).status_code == 200


async def test_plain_chat_is_answered(start: Start, engine: Engine) -> None:
    gateway = await start(route("smol", engine.url))
    response = await gateway.chat()
    assert (response.status_code, response.json()) == (200, COMPLETION)
    assert response.headers["x-signalbox-version"] == "smollm2:1"
    assert response.headers["x-signalbox-replica"] == "smol-0"


async def test_streamed_chat_is_answered(start: Start, engine: Engine) -> None:
    gateway = await start(route("smol", engine.url))
    response = await gateway.chat(stream=True)
    assert response.headers["content-type"].startswith("text/event-stream")
    assert response.text.count("data: ") == 3
    assert response.text.endswith("data: [DONE]\n\n")


async def test_stream_leaves_intent_and_outcome(start: Start, engine: Engine, register: RegisterReader) -> None:
    gateway = await start(route("smol", engine.url))
    response = await gateway.chat(stream=True)
    intent, outcome = register.rows(request_id=response.headers["x-request-id"])
    assert (intent["kind"], outcome["kind"], outcome["parent_id"]) == ("intent", "outcome", intent["id"])
    assert intent["writer_seq"] < outcome["writer_seq"]


async def test_answer_that_takes_long_leaves_both_rows(start: Start, engine: Engine, register: RegisterReader) -> None:
    engine.script = late
    gateway = await start(route("smol", engine.url))
    response = await gateway.chat()
    intent, outcome = register.rows(request_id=response.headers["x-request-id"])
    assert (intent["kind"], outcome["kind"], outcome["parent_id"]) == ("intent", "outcome", intent["id"])


async def test_answer_at_once_leaves_its_outcome_alone(start: Start, engine: Engine, register: RegisterReader) -> None:
    gateway = await start(route("smol", engine.url))
    for _ in range(20):  # on a busy machine an answer may not be there in time
        response = await gateway.chat()
        outcome = register.rows(request_id=response.headers["x-request-id"])[-1]
        if outcome["parent_id"] is None:
            break
    assert len(register.rows(request_id=response.headers["x-request-id"])) == 1
    assert (outcome["kind"], outcome["parent_id"]) == ("outcome", None)
    assert (outcome["prompt_tokens"], outcome["completion_tokens"], outcome["status"]) == (7, 3, "ok")
    assert bytes(outcome["output_digest"]) == hashlib.sha256(response.content).digest()
    assert bytes(outcome["input_digest"]) == hashlib.sha256(response.request.content).digest()
    assert outcome["detail"]["routing"] == "only_replica"


@pytest.mark.parametrize("stream", [False, True])
async def test_project_may_keep_digests_out(
    start: Start, engine: Engine, register: RegisterReader, publisher: Publisher, stream: bool
) -> None:
    gateway = await start(route("smol", engine.url))
    gateway.key = new_key(register_mode="metadata")
    publisher.key(gateway.key)
    await eventually(lambda: known(gateway))
    response = await gateway.chat(stream=stream)
    rows = RegisterReader(register.url, gateway.key).rows(request_id=response.headers["x-request-id"])
    assert len(rows) == 1 + stream
    assert {row[name] for row in rows for name in ("input_digest", "output_digest")} == {None}


async def test_stream_leaves_its_usage_though_the_client_did_not_ask(
    start: Start, engine: Engine, register: RegisterReader
) -> None:
    gateway = await start(route("smol", engine.url))
    response = await gateway.chat(stream=True)
    outcome = register.rows(kind="outcome")[0]
    assert (outcome["prompt_tokens"], outcome["completion_tokens"]) == (7, 3)
    assert "usage" not in response.text


@pytest.mark.parametrize("stream", [False, True])
async def test_answer_tells_its_date(start: Start, engine: Engine, stream: bool) -> None:
    gateway = await start(route("smol", engine.url))
    assert "date" in (await gateway.chat(stream=stream)).headers
