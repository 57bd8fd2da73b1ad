import json
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from controlplane.models import ApiKey
from controlplane.views import playground, playground_key
from inference.contract import keys
from tests.factories import ProjectFactory, RouteFactory

from .pages import text, url

QUESTION = {"model": "qwen3", "messages": [{"role": "user", "content": "Paris?"}]}
STREAM = b'data: {"choices":[{"delta":{"content":"Yes"}}]}\n\ndata: [DONE]\n\n'


def streamed(**more: Any) -> httpx.Response:
    return httpx.Response(200, stream=httpx.ByteStream(STREAM), **more)


class Gateway:
    """Stands in for the gateway: answers as told, remembers what came."""

    def __init__(self) -> None:
        self.came: list[httpx.Request] = []
        self.answer: Callable[[int], httpx.Response] = lambda _nth: streamed()

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.came.append(request)
        return self.answer(len(self.came))


@pytest.fixture
def gateway(monkeypatch, db):
    gateway = Gateway()
    client = httpx.AsyncClient
    monkeypatch.setattr(httpx, "AsyncClient", lambda **kw: client(transport=httpx.MockTransport(gateway), **kw))
    monkeypatch.setattr(playground, "KEY_WAIT_SECONDS", 0)
    monkeypatch.setattr(playground_key, "_held", {})
    ProjectFactory(name="default"), RouteFactory(name="qwen3")
    return gateway


def _post(console, sent=QUESTION):
    body = sent if isinstance(sent, str | bytes) else json.dumps(sent)
    return console.post(url("playground_answer"), body, content_type="application/json")


@pytest.fixture
def answer_of(alice_user, gateway):
    """The whole event stream of one question, read as ASGI reads it."""

    async def read(**waits: int) -> list[dict]:
        stream = playground.relay(QUESTION, {"authorization": "Bearer x"}, waits=waits.get("waits", 0))
        events = b"".join([chunk async for chunk in stream]).decode().split("\n\n")
        return [json.loads(it.removeprefix("data: ")) for it in events if it and not it.endswith("[DONE]")]

    return read


@pytest.mark.filterwarnings("ignore:StreamingHttpResponse must consume asynchronous iterators")
def test_question_goes_through_the_gateway_with_a_key_of_its_own(alice_console, gateway):
    answer = _post(alice_console)
    assert STREAM in b"".join(answer)
    sent = json.loads(gateway.came[0].content)
    assert (sent["model"], sent["stream"], sent["stream_options"]) == ("qwen3", True, {"include_usage": True})
    token = gateway.came[0].headers["authorization"].removeprefix("Bearer ")
    assert keys.parse(token).id == ApiKey.objects.get().key_id


def test_request_id_is_the_one_of_the_register(alice_console, gateway):
    answer = alice_console.post(
        url("playground_answer"), json.dumps(QUESTION), content_type="application/json",
        headers={"X-Request-ID": "follow-me-1"},
    )  # fmt: skip
    assert answer.headers["X-Request-ID"] == "follow-me-1"


def test_one_key_serves_many_questions(alice_console, gateway):
    _post(alice_console), _post(alice_console)
    key = ApiKey.objects.get()
    assert (key.name, key.created_by) == ("playground", "alice")
    assert key.expires_at is not None


def test_revoked_key_is_replaced(alice_console, gateway):
    _post(alice_console)
    ApiKey.objects.update(revoked_at="2026-01-01T00:00Z")
    _post(alice_console)
    assert ApiKey.objects.usable().count() == 1


def test_key_is_in_no_session(alice_console, gateway):
    _post(alice_console)
    assert "sbx_" not in str(dict(alice_console.session.items()))


def test_project_of_the_route_is_counted(alice_console, gateway):
    RouteFactory(name="theirs", project=ProjectFactory(name="billing"))
    _post(alice_console, QUESTION | {"model": "theirs"})
    assert ApiKey.objects.get().project.name == "billing"


async def test_answer_begins_with_who_answers(answer_of, gateway):
    gateway.answer = lambda _nth: streamed(headers={"x-signalbox-version": "qwen3:1"})
    events = await answer_of()
    assert events[0]["signalbox"]["x-signalbox-version"] == "qwen3:1"
    assert events[1]["choices"][0]["delta"]["content"] == "Yes"


async def test_refusal_of_the_gateway_is_shown(answer_of, gateway):
    gateway.answer = lambda _nth: httpx.Response(429, json={"error": {"message": "Slow down."}})
    assert await answer_of() == [{"error": {"message": "Slow down.", "status": 429}}]


async def test_refusal_without_words_is_shown_by_its_number(answer_of, gateway):
    gateway.answer = lambda _nth: httpx.Response(502, content=b"<html>")
    assert (await answer_of())[0]["error"]["message"] == "HTTP 502"


async def test_new_key_is_waited_for(answer_of, gateway):
    gateway.answer = lambda nth: httpx.Response(401) if nth < 4 else streamed()
    assert len(await answer_of(waits=5)) == 2
    assert len(gateway.came) == 4


async def test_gateway_that_is_away_is_said(answer_of, gateway):
    def away(_nth: int) -> httpx.Response:
        raise httpx.ConnectError("refused")

    gateway.answer = away
    assert "ConnectError" in (await answer_of())[0]["error"]["message"]


@pytest.mark.parametrize(
    "sent",
    [
        "", "{", "[]", "null", "{}", '{"model": "qwen3", "messages": []}', '{"model": "qwen3", "messages": [1]}',
        QUESTION | {"messages": [{"role": "tool", "content": "x"}]}, QUESTION | {"temperature": 9},
        QUESTION | {"temperature": "hot"}, QUESTION | {"max_tokens": 0}, '{"model": 1, "messages": NaN}',
        QUESTION | {"max_tokens": 1e400}, QUESTION | {"model": "unknown"}, QUESTION | {"model": "\x00"}, b"\xff",
        "[" * 9000,
    ],
)  # fmt: skip
def test_bad_question_is_refused(sent, alice_console, gateway):
    answer = _post(alice_console, sent)
    assert answer.status_code == 400
    assert answer.json()["error"]["message"]
    assert gateway.came == []


def test_onlooker_is_refused(vera_console, gateway):
    assert _post(vera_console).status_code == 403
    assert not ApiKey.objects.exists()


def test_page_offers_the_routes(alice_console, gateway):
    assert '<option value="qwen3"' in text(alice_console.get(url("playground")))


def test_page_without_a_route_says_so(alice_console):
    assert "no route" in text(alice_console.get(url("playground")))
