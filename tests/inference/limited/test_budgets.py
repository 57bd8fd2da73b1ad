"""A budget around a request: what is left decides, what the engine counted is spent, a refusal says all about it."""

import asyncio
import json
import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import openai
import pytest

from inference.contract import limits, tables
from inference.contract.budgets import MICROS, Price
from inference.contract.limits import LimitEntry, LimitTable
from tests.inference.books import Books
from tests.inference.conftest import Gateway, Key, RegisterReader, route
from tests.inference.engine import USAGE, Engine
from tests.waiting import eventually

from .conftest import Limited, Publisher

SPENT = USAGE["total_tokens"]
Budget = Callable[..., LimitEntry]


@pytest.fixture
def budget(books: Books, key: Key, project: str) -> Budget:
    """The key of this test with a budget: ``budget(tokens_per_day=1000)``."""

    def _budget(**amounts: int) -> LimitEntry:
        entry = books.limit(project, **amounts)
        mine = LimitEntry(project, key=key.entry.id, budgets=entry.budgets)
        key.entry = tables.KeyEntry(key.entry.id, key.entry.digest, project, "test", limits=(mine,))
        return entry

    return _budget


async def spent(books: Books, entry: LimitEntry, tokens: int, dimension: str = "tokens_per_day") -> None:
    await eventually(lambda: books.spent(entry, dimension) == tokens)


async def test_engines_count_is_spent(begin: Limited, engine: Engine, budget: Budget, books: Books) -> None:
    entry = budget(tokens_per_day=100_000, tokens_per_month=200_000)
    gateway = await begin(route("smol", engine.url))
    before = books.spent(entry)
    for stream in (False, True):
        assert (await gateway.chat(max_tokens=500, stream=stream)).status_code == 200
    await eventually(lambda: books.spent(entry) >= before + 2 * SPENT)
    assert books.spent(entry, "tokens_per_month") == books.spent(entry)
    assert books.spent(entry) % SPENT == 0
    assert not books.discrepancies()


async def test_refusal_names_whose_budget_and_when_it_renews(
    begin: Limited, engine: Engine, budget: Budget, key: Key, register: RegisterReader
) -> None:
    budget(tokens_per_day=0)
    gateway = await begin(route("smol", engine.url))
    answer = await gateway.chat(max_tokens=5)
    error = answer.json()["error"]
    assert (answer.status_code, error["code"], error["type"]) == (429, "insufficient_quota", "insufficient_quota")
    midnight = (datetime.now(UTC) + timedelta(days=1)).strftime("%Y-%m-%d 00:00 (UTC)")
    assert error["message"] == (
        f"The budget of 0 tokens a day of API key {key.entry.id} is used up. It renews at {midnight}."
    )
    assert answer.headers["x-should-retry"] == "false"
    assert 0 < int(answer.headers["retry-after"]) <= 86_400
    await eventually(lambda: register.rows(status="insufficient_quota"))
    assert register.rows(status="insufficient_quota")[0]["detail"]["limits"]["applied"] == {
        f"{key.entry.project}:k:{key.entry.id}:": {"tokens_per_day": 0}
    }


async def test_official_client_does_not_try_again(begin: Limited, engine: Engine, budget: Budget) -> None:
    budget(tokens_per_day=0)
    gateway = await begin(route("smol", engine.url))
    async with openai.AsyncOpenAI(base_url=f"{gateway.url}/v1", api_key=gateway.key.token, max_retries=5) as client:
        with pytest.raises(openai.RateLimitError) as refused:
            await client.chat.completions.create(model="smol", messages=[{"role": "user", "content": "hi"}])
    assert refused.value.code == "insufficient_quota"
    assert refused.value.request.headers["x-stainless-retry-count"] == "0"


async def test_request_larger_than_what_is_left(begin: Limited, engine: Engine, budget: Budget) -> None:
    budget(tokens_per_day=50)
    gateway = await begin(route("smol", engine.url))
    answer = await gateway.chat(max_tokens=500)
    assert answer.status_code == 429
    message = answer.json()["error"]["message"]
    assert re.search(
        r"up to 5\d\d tokens, and the budget of 50 tokens .* has \d\d tokens left: lower max_tokens", message
    )
    assert (await gateway.chat(max_tokens=10)).status_code == 200


async def test_answer_of_open_length_takes_what_is_left(begin: Limited, engine: Engine, budget: Budget) -> None:
    """The model's context is longer than the budget: the engine is told where the money ends."""
    budget(tokens_per_day=200)
    gateway = await begin(route("smol", engine.url))
    assert (await gateway.chat()).status_code == 200
    body = json.loads(engine.asked[-1].body)
    assert 0 < body["max_tokens"] < 200


async def test_answer_of_open_length_is_left_alone_while_there_is_enough(
    begin: Limited, engine: Engine, budget: Budget
) -> None:
    budget(tokens_per_day=1_000_000)
    gateway = await begin(route("smol", engine.url))
    assert (await gateway.chat()).status_code == 200
    assert "max_tokens" not in json.loads(engine.asked[-1].body)


async def test_cost_is_that_of_the_version_that_answered(
    begin: Limited, engine: Engine, budget: Budget, books: Books, publisher: Publisher
) -> None:
    entry = budget(cost_micros_per_day=MICROS)
    publisher.client.set(limits.TABLE, limits.encode(LimitTable((), {"smollm2:1": Price(3 * MICROS, 5 * MICROS)})))
    gateway = await begin(route("smol", engine.url))
    await eventually(lambda: _spends(gateway, books, entry))
    cost = 3 * USAGE["prompt_tokens"] + 5 * USAGE["completion_tokens"]
    await eventually(lambda: books.spent(entry, "cost_micros_per_day") % cost == 0)
    assert books.spent(entry, "cost_micros_per_day") > 0


async def _spends(gateway: Gateway, books: Books, entry: LimitEntry) -> bool:
    """The prices have arrived."""
    await gateway.chat(max_tokens=5)
    return books.spent(entry, "cost_micros_per_day") > 0


async def test_failed_request_spends_nothing(begin: Limited, engine: Engine, budget: Budget, books: Books) -> None:
    entry = budget(tokens_per_day=100_000)
    gateway = await begin(route("smol", engine.url), route("empty"))
    await eventually(lambda: books.spent(entry) > 0)
    before = books.spent(entry)
    assert (await gateway.chat(model="empty", max_tokens=500)).status_code == 503
    await gateway.chat(max_tokens=5)
    await spent(books, entry, before + SPENT)


async def test_raised_budget_is_there_within_a_second(
    begin: Limited, engine: Engine, budget: Budget, books: Books, key: Key, publisher: Publisher, project: str
) -> None:
    entry = budget(tokens_per_day=0)
    gateway = await begin(route("smol", engine.url))
    assert (await gateway.chat(max_tokens=5)).status_code == 429
    _publish(publisher, key, books.change(entry, tokens_per_day=1000), project)
    await eventually(lambda: _is_let_in(gateway))


async def test_lowered_budget_binds_what_was_leased_already(
    begin: Limited, engine: Engine, budget: Budget, books: Books, key: Key, publisher: Publisher, project: str
) -> None:
    entry = budget(tokens_per_day=1_000_000)
    gateway = await begin(route("smol", engine.url))
    assert (await gateway.chat(max_tokens=100)).status_code == 200
    _publish(publisher, key, books.change(entry, tokens_per_day=20), project)
    await eventually(lambda: _is_refused(gateway))


def _publish(publisher: Publisher, key: Key, entry: LimitEntry, project: str) -> None:
    mine = LimitEntry(project, key=key.entry.id, budgets=entry.budgets)
    key.entry = tables.KeyEntry(key.entry.id, key.entry.digest, project, "test", limits=(mine,))
    publisher.key(key)


async def _is_let_in(gateway: Gateway) -> bool:
    return (await gateway.chat(max_tokens=5)).status_code == 200


async def _is_refused(gateway: Gateway) -> bool:
    return (await gateway.chat(max_tokens=100)).status_code == 429


async def test_rates_and_budgets_bind_together(
    begin: Limited, engine: Engine, books: Books, key: Key, project: str
) -> None:
    entry = books.limit(project, tokens_per_day=1_000_000)
    mine = LimitEntry(project, key=key.entry.id, requests_per_minute=3, budgets=entry.budgets)
    key.entry = tables.KeyEntry(key.entry.id, key.entry.digest, project, "test", limits=(mine,))
    gateway = await begin(route("smol", engine.url))
    answers = [await gateway.chat(max_tokens=5) for _ in range(4)]
    assert answers[-1].status_code == 429
    assert answers[-1].json()["error"]["code"] == "rate_limit_exceeded"
    assert answers[0].headers["x-ratelimit-limit-requests"] == "3"


async def test_fifty_at_once_share_a_balance_for_ten(
    begin: Limited, engine: Engine, budget: Budget, books: Books, key: Key, project: str, publisher: Publisher
) -> None:
    budget(tokens_per_day=1_000_000)
    gateway = await begin(route("smol", engine.url))
    reserved = SPENT + len(b'"smol"[{"role":"user","content":"hi"}]' + str(SPENT).encode()) // 4 + 1
    entry = books.limit(project, tokens_per_day=10 * reserved)
    _publish(publisher, key, entry, project)
    await asyncio.sleep(1)
    answers = await asyncio.gather(*(gateway.chat(max_tokens=SPENT) for _ in range(50)))
    passed = [answer.status_code for answer in answers].count(200)
    await spent(books, entry, passed * SPENT)
    assert 10 <= passed <= 10 * reserved // SPENT
