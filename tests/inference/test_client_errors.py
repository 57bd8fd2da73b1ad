"""What a client did wrong is told in OpenAI's shape, and no engine hears of it."""

from typing import Any

import httpx
import pytest

from tests.inference.conftest import Gateway, Publisher, Start, new_key, route
from tests.inference.engine import Asked, Engine
from tests.waiting import eventually

CHAT = "/v1/chat/completions"


@pytest.fixture
async def gateway(start: Start, engine: Engine) -> Gateway:
    return await start(route("smol", engine.url), route("foreign", engine.url, project="beta"))


def code(response: httpx.Response) -> tuple[int, str]:
    error = response.json()["error"]
    assert set(error) == {"message", "type", "param", "code"}
    assert response.headers["x-request-id"]
    return response.status_code, error["code"]


async def test_every_wrong_turn_has_its_answer(gateway: Gateway, engine: Engine) -> None:
    key = gateway.authorization

    async def post(path: str, headers: dict[str, str], **body: Any) -> tuple[int, str]:
        return code(await gateway.http.post(path, json=body, headers=headers))

    assert await post(CHAT, {}, model="smol") == (401, "missing_api_key")
    assert await post(CHAT, {"authorization": "Basic eDp5"}, model="smol") == (401, "missing_api_key")
    assert await post(CHAT, {"authorization": "Bearer x"}, model="smol") == (401, "invalid_api_key")
    assert await post(CHAT, {"api-key": new_key().token}, model="smol") == (401, "invalid_api_key")
    assert await post(CHAT, key, model="foreign") == (403, "model_not_allowed")
    assert await post(CHAT, key, model="nothing") == (404, "model_not_found")
    assert await post(CHAT, key) == (400, "invalid_request")
    assert await post("/v1/nothing", key, model="smol") == (404, "unknown_url")
    assert await post("/v1/models", key) == (405, "method_not_allowed")
    assert code(await gateway.http.get(CHAT, headers=key)) == (405, "method_not_allowed")
    assert code(await gateway.http.get("/", headers=key)) == (404, "unknown_url")
    assert code(await gateway.http.post(CHAT, content=b"{", headers=key)) == (400, "invalid_request")
    packed = await gateway.http.post(CHAT, content=b"x", headers={**key, "content-encoding": "gzip"})
    assert code(packed) == (400, "invalid_request")
    assert not engine.asked


async def test_body_over_the_limit_is_413_announced_or_not(gateway: Gateway, engine: Engine) -> None:
    async def pieces() -> Any:
        for _ in range(5):
            yield b" " * 1024 * 1024

    announced = await gateway.http.post(CHAT, content=b" " * 5_000_000, headers=gateway.authorization)
    chunked = await gateway.http.post(CHAT, content=pieces(), headers=gateway.authorization)
    assert code(announced) == code(chunked) == (413, "body_too_large")
    assert not engine.asked


async def test_restricted_and_expired_keys(gateway: Gateway, publisher: Publisher, engine: Engine) -> None:
    restricted, expired = new_key(routes=("other",)), new_key(expires=1.0)
    publisher.all(route("smol", engine.url), route("other", engine.url), keys=(restricted, expired))
    answers = []
    for key in (restricted, expired):
        gateway.key = key
        answers.append(gateway.authorization)

    async def known() -> bool:
        return (await gateway.http.get("/v1/models", headers=answers[0])).status_code == 200

    await eventually(known)
    listed = (await gateway.http.get("/v1/models", headers=answers[0])).json()
    assert [model["id"] for model in listed["data"]] == ["other"]
    response = await gateway.http.post(CHAT, json={"model": "smol"}, headers=answers[0])
    assert code(response) == (403, "model_not_allowed")
    assert code(await gateway.http.get("/v1/models", headers=answers[1])) == (401, "expired_api_key")


async def test_models_shows_only_what_the_key_may_call(gateway: Gateway) -> None:
    listed = (await gateway.http.get("/v1/models", headers=gateway.authorization)).json()
    assert [(model["id"], model["max_model_len"]) for model in listed["data"]] == [("smol", 2048)]
    one = await gateway.http.get("/v1/models/smol", headers=gateway.authorization)
    assert one.json() == listed["data"][0]
    assert code(await gateway.http.get("/v1/models/foreign", headers=gateway.authorization))[0] == 403
    assert code(await gateway.http.get("/v1/models/none", headers=gateway.authorization))[0] == 404
    assert code(await gateway.http.get("/v1/models"))[0] == 401


async def test_model_names_may_hold_a_slash(start: Start, engine: Engine) -> None:
    gateway = await start(route("org/model", engine.url))
    for path in ("/v1/models/org/model", "/v1/models/org%2Fmodel"):
        assert (await gateway.http.get(path, headers=gateway.authorization)).json()["id"] == "org/model"


@pytest.mark.parametrize("header", ["authorization", "x-api-key", "api-key"])
async def test_key_is_taken_from_all_three_headers(gateway: Gateway, header: str) -> None:
    value = f"Bearer {gateway.key.token}" if header == "authorization" else gateway.key.token
    response = await gateway.http.post(CHAT, json={"model": "smol"}, headers={header: value})
    assert response.status_code == 200


@pytest.mark.parametrize(("given", "kept"), [("abc-123", True), ("x" * 129, False), ("with space", False)])
async def test_valid_request_id_is_kept(gateway: Gateway, given: str, kept: bool) -> None:
    headers = {**gateway.authorization, "x-request-id": given}
    response = await gateway.http.post(CHAT, json={"model": "smol"}, headers=headers)
    assert (response.headers["x-request-id"] == given) is kept


async def test_engine_sees_its_own_credential_and_no_private_header(gateway: Gateway, engine: Engine) -> None:
    trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    headers = {
        **gateway.authorization,
        "traceparent": trace,
        "cookie": "session=1",
        "connection": "keep-alive, x-secret",
        "x-secret": "1",
        "te": "trailers",
        "x-request-id": "rid",
    }
    await gateway.http.post(CHAT, json={"model": "smol", "messages": []}, headers=headers)
    asked: Asked = engine.asked[0]
    assert asked.headers["authorization"] == "Bearer engine-secret"
    assert (asked.headers["traceparent"], asked.headers["x-request-id"]) == (trace, "rid")
    assert not {"cookie", "connection", "x-secret", "te", "x-api-key"} & set(asked.headers)
    assert asked.json == {"model": "served", "messages": []}
