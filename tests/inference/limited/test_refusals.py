"""What a client is told when a limit says no, and that it has cost nothing."""

from collections.abc import Callable

import httpx
import pytest

from inference.contract.limits import PLATFORM, LimitEntry
from tests.inference.conftest import Gateway, Key, RegisterReader, route
from tests.inference.engine import Engine
from tests.waiting import eventually

from .conftest import Limited, Publisher

LimitKey = Callable[..., Key]


def left(response: httpx.Response, kind: str = "requests") -> tuple[int, int]:
    """The limit and what remains of it."""
    headers = response.headers
    return int(headers[f"x-ratelimit-limit-{kind}"]), int(headers[f"x-ratelimit-remaining-{kind}"])


async def statuses(gateway: Gateway, count: int, **fields: object) -> list[int]:
    return [(await gateway.chat(**fields)).status_code for _ in range(count)]


async def test_headers_count_down(begin: Limited, engine: Engine, limit_key: LimitKey) -> None:
    limit_key(requests_per_minute=100)
    gateway = await begin(route("smol", engine.url))
    first, second = [left(await gateway.chat()) for _ in range(2)]
    assert first[0] == 100
    assert second[1] == first[1] - 1


async def test_unlimited_request_has_no_such_headers(begin: Limited, engine: Engine) -> None:
    gateway = await begin(route("smol", engine.url))
    assert not [name for name in (await gateway.chat()).headers if name.startswith("x-ratelimit")]


async def test_refusal_in_openais_shape(begin: Limited, engine: Engine, limit_key: LimitKey) -> None:
    limit_key(requests_per_minute=1)
    gateway = await begin(route("smol", engine.url))
    response = await gateway.chat()
    assert response.status_code == 429
    error = response.json()["error"]
    assert (error["type"], error["code"], error["param"]) == ("rate_limit_exceeded", "rate_limit_exceeded", None)
    assert "requests per minute" in error["message"]
    assert left(response) == (1, 0)
    assert 1 <= int(response.headers["retry-after"]) <= 61
    assert response.headers["x-request-id"]
    assert response.headers.get_list("retry-after") == [response.headers["retry-after"]]


async def test_engine_is_not_asked(begin: Limited, engine: Engine, limit_key: LimitKey) -> None:
    limit_key(requests_per_minute=1)
    gateway = await begin(route("smol", engine.url))
    asked = len(engine.asked)
    assert await statuses(gateway, 5) == [429] * 5
    assert len(engine.asked) == asked


async def test_headers_stand_on_later_errors(begin: Limited, engine: Engine, limit_key: LimitKey) -> None:
    limit_key(requests_per_minute=100)
    gateway = await begin(route("smol", engine.url), route("empty"))
    response = await gateway.chat(model="empty")
    assert response.status_code == 503
    assert left(response)[0] == 100


async def test_refused_request_consumes_nothing(
    begin: Limited, engine: Engine, limit_key: LimitKey, publisher: Publisher, project: str
) -> None:
    """The project lets through what the key refuses: the project's counter must not move."""
    limit_key("smol", requests_per_minute=1)
    publisher.limits(LimitEntry(project, requests_per_minute=50))
    gateway = await begin(route("smol", engine.url), route("other", engine.url))
    await statuses(gateway, 5)
    response = await gateway.chat(model="other")
    assert left(response) == (50, 48)


async def test_key_and_route_bind_together(
    begin: Limited, engine: Engine, limit_key: LimitKey, publisher: Publisher, key: Key, project: str
) -> None:
    name = f"r-{project}"
    limit_key(requests_per_minute=100)
    publisher.limits(LimitEntry(PLATFORM, route=name, shared=True, requests_per_minute=3))
    gateway = await begin(route("smol", engine.url), route(name, engine.url))
    answers = [await gateway.chat(model=name) for _ in range(4)]
    assert [answer.status_code for answer in answers] == [200, 200, 200, 429]
    assert left(answers[0]) == (3, 2)
    assert (await gateway.chat()).status_code == 200


async def test_limit_of_tokens(begin: Limited, engine: Engine, limit_key: LimitKey) -> None:
    limit_key(tokens_per_minute=300)
    gateway = await begin(route("smol", engine.url))
    response = await gateway.chat(max_tokens=10_000)
    assert response.status_code == 429
    assert "lower max_tokens" in response.json()["error"]["message"]
    assert response.headers["x-should-retry"] == "false"


async def test_refusal_stands_in_the_register(
    begin: Limited, engine: Engine, limit_key: LimitKey, register: RegisterReader, key: Key, project: str
) -> None:
    limit_key(requests_per_minute=1)
    gateway = await begin(route("smol", engine.url))
    await gateway.chat()
    await eventually(lambda: register.rows(status="rate_limit_exceeded"))
    row = register.rows(status="rate_limit_exceeded")[0]
    assert (row["kind"], row["status_code"], row["parent_id"], row["route"]) == ("outcome", 429, None, "smol")
    assert row["detail"]["limits"]["applied"] == {f"{project}:k:{key.entry.id}:": {"requests_per_minute": 1}}


async def test_limits_stand_beside_the_routing_in_the_register(
    begin: Limited, engine: Engine, limit_key: LimitKey, register: RegisterReader
) -> None:
    limit_key(tokens_per_minute=1000)
    gateway = await begin(route("smol", engine.url))
    await gateway.chat(max_tokens=5)
    detail = register.rows(kind="outcome", status="ok")[-1]["detail"]
    assert detail["limits"]["reserved_tokens"] > 5
    assert detail["routing"]


async def test_refusals_are_counted(begin: Limited, engine: Engine, limit_key: LimitKey) -> None:
    limit_key(requests_per_minute=1)
    gateway = await begin(route("smol", engine.url))
    await gateway.chat()
    text = (await gateway.operator_get("/metrics")).text
    assert 'signalbox_gateway_limited_total{limit="requests_per_minute"}' in text


@pytest.mark.parametrize("dimension", ["requests_per_minute", "concurrency", "tokens_per_minute"])
async def test_zero_lets_nothing_through(begin: Limited, engine: Engine, limit_key: LimitKey, dimension: str) -> None:
    limit_key(**{dimension: 0})
    gateway = await begin(route("smol", engine.url))
    assert await statuses(gateway, 2) == [429, 429]
