"""The main road: a chat through the gateway, plain and streamed, with its two rows in the register."""

import hashlib

import pytest

from tests.inference.conftest import RegisterReader, Start, route
from tests.inference.engine import COMPLETION, Engine


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


async def test_chat_leaves_intent_and_outcome(start: Start, engine: Engine, register: RegisterReader) -> None:
    gateway = await start(route("smol", engine.url))
    response = await gateway.chat()
    intent, outcome = register.rows(request_id=response.headers["x-request-id"])
    assert (intent["kind"], outcome["kind"], outcome["parent_id"]) == ("intent", "outcome", intent["id"])
    assert (outcome["prompt_tokens"], outcome["completion_tokens"], outcome["status"]) == (7, 3, "ok")
    assert bytes(outcome["output_digest"]) == hashlib.sha256(response.content).digest()
    assert bytes(intent["input_digest"]) == hashlib.sha256(response.request.content).digest()
    assert outcome["detail"]["routing"] == "only_replica"


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
