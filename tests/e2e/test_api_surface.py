"""Every path of the gateway with the official clients and the real engine."""

from collections.abc import Iterator

import anthropic
import httpx
import openai
import pytest
from anthropic.types import MessageParam

from tests.e2e.running import QUESTION, RunningSignalbox

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(1200)]

MODEL = "smollm2-135m-instruct"
ASK: list[MessageParam] = [{"role": "user", "content": QUESTION}]


@pytest.fixture
def ai(signalbox: RunningSignalbox) -> Iterator[openai.OpenAI]:
    url, key = f"{signalbox.gateway_url}/v1", signalbox.credentials["SIGNALBOX_API_KEY"]
    with openai.OpenAI(base_url=url, api_key=key, max_retries=0) as client:
        yield client


@pytest.fixture
def claude(signalbox: RunningSignalbox) -> Iterator[anthropic.Anthropic]:
    key = signalbox.credentials["SIGNALBOX_API_KEY"]
    with anthropic.Anthropic(base_url=signalbox.gateway_url, api_key=key, max_retries=0) as client:
        yield client


@pytest.fixture
def http(signalbox: RunningSignalbox) -> Iterator[httpx.Client]:
    headers = {"authorization": f"Bearer {signalbox.credentials['SIGNALBOX_API_KEY']}"}
    with httpx.Client(base_url=signalbox.gateway_url, headers=headers, timeout=120, trust_env=False) as client:
        yield client


# OpenAI


def test_response_answers(ai: openai.OpenAI) -> None:
    answer = ai.responses.create(model=MODEL, input=QUESTION, temperature=0, max_output_tokens=16)
    assert "Paris" in answer.output_text
    assert answer.usage is not None
    assert answer.usage.output_tokens > 0


def test_response_streams_to_its_end(ai: openai.OpenAI) -> None:
    events = list(ai.responses.create(model=MODEL, input=QUESTION, temperature=0, max_output_tokens=16, stream=True))
    assert events[0].type == "response.created"
    assert events[-1].type == "response.completed"
    assert "Paris" in "".join(event.delta for event in events if event.type == "response.output_text.delta")


def test_bad_tool_schema_is_a_bad_request(ai: openai.OpenAI) -> None:
    with pytest.raises(openai.BadRequestError) as refused:
        ai.chat.completions.create(
            model=MODEL, messages=[{"role": "user", "content": "hi"}],
            tools=[{"type": "function", "function": {"name": 5}}],  # type: ignore[typeddict-item]
        )  # fmt: skip
    assert "name" in refused.value.message


def test_embeddings_of_a_chat_model_say_what_is_wrong(ai: openai.OpenAI) -> None:
    with pytest.raises(openai.NotFoundError, match="does not serve /v1/embeddings"):
        ai.embeddings.create(model=MODEL, input="hi")


def test_json_mode_and_more_answers(ai: openai.OpenAI) -> None:
    answer = ai.chat.completions.create(
        model=MODEL, messages=[{"role": "user", "content": "A city as JSON."}], n=2, max_tokens=8, logprobs=True,
        response_format={"type": "json_object"},
    )  # fmt: skip
    assert len(answer.choices) == 2
    assert all(choice.logprobs is not None for choice in answer.choices)


def test_what_is_asked_for_the_first_time_does_not_take_the_engine_out(
    ai: openai.OpenAI, signalbox: RunningSignalbox
) -> None:
    """vLLM compiles code for log probabilities, and stands still meanwhile."""
    ai.completions.create(model=MODEL, prompt="1", max_tokens=4, logprobs=3)
    assert not [line for line in signalbox.history() if line["reason"] == "no_progress"]


def test_remote_picture_is_refused(ai: openai.OpenAI) -> None:
    picture = {"type": "image_url", "image_url": {"url": "http://169.254.169.254/latest"}}
    with pytest.raises(openai.BadRequestError) as refused:
        ai.chat.completions.create(model=MODEL, messages=[{"role": "user", "content": [picture]}])  # type: ignore[list-item]
    assert refused.value.code == "remote_media_not_allowed"


# Anthropic


def test_message_answers(claude: anthropic.Anthropic) -> None:
    answer = claude.messages.create(model=MODEL, messages=ASK, max_tokens=16, extra_body={"temperature": 0})
    assert answer.content[0].type == "text"
    assert "Paris" in answer.content[0].text
    assert answer.usage.output_tokens > 0


def test_message_streams_to_its_end(claude: anthropic.Anthropic) -> None:
    with claude.messages.stream(model=MODEL, messages=ASK, max_tokens=16, extra_body={"temperature": 0}) as stream:
        assert "Paris" in "".join(stream.text_stream)
        assert stream.get_final_message().stop_reason in {"end_turn", "max_tokens"}


def test_tokens_are_counted(claude: anthropic.Anthropic) -> None:
    assert claude.messages.count_tokens(model=MODEL, messages=ASK).input_tokens > 10


def test_wrong_key_has_anthropics_shape(claude: anthropic.Anthropic) -> None:
    with pytest.raises(anthropic.AuthenticationError) as refused:
        claude.with_options(api_key="sk-wrong").messages.create(model=MODEL, messages=ASK, max_tokens=1)
    assert refused.value.body["error"]["type"] == "authentication_error"  # type: ignore[index]


def test_unknown_model_has_anthropics_shape(claude: anthropic.Anthropic) -> None:
    with pytest.raises(anthropic.NotFoundError) as refused:
        claude.messages.create(model="none", messages=ASK, max_tokens=1)
    assert refused.value.body["error"]["type"] == "not_found_error"  # type: ignore[index]
    assert refused.value.body["request_id"] == refused.value.response.headers["x-request-id"]  # type: ignore[index]


# vLLM


def test_text_becomes_tokens_and_text_again(http: httpx.Client) -> None:
    tokens = http.post("/tokenize", json={"model": MODEL, "prompt": "Signal box"}).json()["tokens"]
    assert http.post("/detokenize", json={"model": MODEL, "tokens": tokens}).json()["prompt"] == "Signal box"


# what stays behind


def test_usage_of_streams_is_in_the_register(signalbox: RunningSignalbox, http: httpx.Client) -> None:
    for path, body in (
        ("/v1/messages", {"messages": ASK, "max_tokens": 4}),
        ("/v1/responses", {"input": QUESTION, "max_output_tokens": 4}),
    ):
        answer = http.post(path, json={"model": MODEL, "stream": True, **body})
        with signalbox.api() as api:
            events = api.get("/audit/events", params={"request_id": answer.headers["x-request-id"]}).json()["results"]
        outcome = next(event for event in events if event["kind"] == "outcome")
        assert outcome["status"] == "ok"
        assert outcome["completion_tokens"] == 4
        assert outcome["prompt_tokens"] > 10


def test_scoped_key_is_held_to_its_scope(signalbox: RunningSignalbox) -> None:
    made = signalbox.manage("create_key", "--name", "scoped", "--endpoints", "tokenize", "--cidrs", "127.0.0.0/8")
    headers = {"authorization": f"Bearer {made.stdout.strip()}"}
    with httpx.Client(base_url=signalbox.gateway_url, headers=headers, timeout=60, trust_env=False) as http:
        import time

        time.sleep(1)
        assert http.post("/tokenize", json={"model": MODEL, "prompt": "hi"}).status_code == 200
        assert signalbox.ask(key=made.stdout.strip()).json()["error"]["code"] == "endpoint_not_allowed"
