"""The main thing: a real question, a real model, a right answer; with the official client."""

import openai
import pytest

from tests.e2e.running import QUESTION, RunningSignalbox

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(1200)]


@pytest.fixture
def client(signalbox: RunningSignalbox) -> openai.OpenAI:
    return openai.OpenAI(base_url=f"{signalbox.gateway_url}/v1", api_key=signalbox.credentials["SIGNALBOX_API_KEY"])


def test_curl_line_of_the_start_answers(signalbox: RunningSignalbox) -> None:
    import subprocess

    text = signalbox.output
    line = text[text.index("  . /") : text.index("  Ctrl-C stops")]
    done = subprocess.run(["bash", "-c", line], capture_output=True, text=True, check=True, timeout=120)
    assert "Paris" in done.stdout


def test_models_are_listed(client: openai.OpenAI) -> None:
    assert [model.id for model in client.models.list()] == ["smollm2-135m-instruct"]


def test_chat_answers_paris(client: openai.OpenAI) -> None:
    answer = client.chat.completions.create(
        model="smollm2-135m-instruct", temperature=0, messages=[{"role": "user", "content": QUESTION}]
    )
    assert "Paris" in (answer.choices[0].message.content or "")
    assert answer.usage is not None
    assert answer.usage.completion_tokens > 0


def test_stream_answers_paris(client: openai.OpenAI) -> None:
    stream = client.chat.completions.create(
        model="smollm2-135m-instruct", temperature=0, stream=True, messages=[{"role": "user", "content": QUESTION}]
    )
    chunks = list(stream)
    assert "Paris" in "".join(chunk.choices[0].delta.content or "" for chunk in chunks)
    assert len(chunks) > 3
    assert all(chunk.usage is None for chunk in chunks)


def test_stream_tells_usage_when_asked(client: openai.OpenAI) -> None:
    stream = client.chat.completions.create(
        model="smollm2-135m-instruct", max_tokens=4, stream=True, stream_options={"include_usage": True},
        messages=[{"role": "user", "content": QUESTION}],
    )  # fmt: skip
    usage = list(stream)[-1].usage
    assert usage is not None
    assert usage.completion_tokens == 4


def test_completion_answers(client: openai.OpenAI) -> None:
    answer = client.completions.create(
        model="smollm2-135m-instruct", prompt="The capital of France is", temperature=0, max_tokens=4
    )
    assert "Paris" in answer.choices[0].text


def test_wrong_key_is_an_authentication_error(client: openai.OpenAI) -> None:
    with pytest.raises(openai.AuthenticationError):
        client.with_options(api_key="sk-wrong").models.list()


def test_unknown_model_is_not_found(client: openai.OpenAI) -> None:
    with pytest.raises(openai.NotFoundError):
        client.chat.completions.create(model="no-such-model", messages=[{"role": "user", "content": "hi"}])


def test_request_is_in_the_register(signalbox: RunningSignalbox) -> None:
    request_id = signalbox.ask().headers["x-request-id"]
    with signalbox.api() as api:
        events = api.get("/audit/events", params={"request_id": request_id}).json()["results"]
    by_kind = {event["kind"]: event for event in events}
    assert set(by_kind) == {"intent", "outcome"}
    assert by_kind["outcome"]["status"] == "ok"
    assert by_kind["outcome"]["completion_tokens"] > 0
    assert by_kind["outcome"]["model_version"] == "smollm2-135m-instruct:v1"


def test_second_key_works_at_once_and_not_after_its_end(signalbox: RunningSignalbox) -> None:
    import time

    key = signalbox.manage("create_key", "--name", "ci", "--expires", "1d").stdout.strip()
    time.sleep(1)
    assert signalbox.ask(key=key).status_code == 200
    with signalbox.api() as api:
        row = api.get("/api-keys", params={"search": "ci"}).json()["results"][0]
        api.delete(f"/api-keys/{row['id']}", headers={"X-Reason": "the test is over"}).raise_for_status()
    time.sleep(1)
    assert signalbox.ask(key=key).status_code == 401


def test_doctor_finds_nothing_broken(signalbox: RunningSignalbox) -> None:
    done = signalbox.manage("doctor")
    assert done.returncode == 0, done.stdout + done.stderr
