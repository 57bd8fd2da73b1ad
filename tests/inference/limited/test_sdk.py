"""The official client waits as long as it is told and then gets its answer; what can never pass it does not repeat."""

import asyncio
import time
from collections.abc import Callable

import httpx
import openai
import pytest

from tests.inference.conftest import Gateway, Key, route
from tests.inference.engine import Engine, silence
from tests.inference.test_client_leaves import raw_chat
from tests.waiting import eventually

from .conftest import Limited

LimitKey = Callable[..., Key]


def client(gateway: Gateway, **settings: object) -> openai.AsyncOpenAI:
    return openai.AsyncOpenAI(
        base_url=f"{gateway.url}/v1", api_key=gateway.key.token,
        http_client=httpx.AsyncClient(trust_env=False), **settings,  # type: ignore[arg-type]
    )  # fmt: skip


async def test_retry_after_is_honoured(begin: Limited, engine: Engine, limit_key: LimitKey) -> None:
    limit_key(concurrency=1)
    async with Engine(silence) as slow:
        gateway = await begin(route("smol", engine.url), route("slow", slow.url))
        async with client(gateway, max_retries=3) as sdk, raw_chat(gateway, model="slow") as (_, writer):
            await eventually(lambda: slow.asked)
            began = time.monotonic()
            asking = sdk.chat.completions.with_raw_response.create(model="smol", messages=[])
            task = asyncio.ensure_future(asking)
            await eventually(lambda: _refused(gateway))
            writer.transport.abort()
            answer = await task
            assert answer.parse().choices[0].message.content == "Paris"
            assert answer.retries_taken >= 1
            assert time.monotonic() - began >= 1


async def _refused(gateway: Gateway) -> bool:
    text = (await gateway.operator_get("/metrics")).text
    return 'signalbox_gateway_limited_total{limit="concurrency"}' in text


async def test_named_error_without_retries(begin: Limited, engine: Engine, limit_key: LimitKey) -> None:
    limit_key(requests_per_minute=1)
    gateway = await begin(route("smol", engine.url))
    async with client(gateway, max_retries=0) as sdk:
        with pytest.raises(openai.RateLimitError) as refused:
            await sdk.chat.completions.create(model="smol", messages=[])
    assert refused.value.code == "rate_limit_exceeded"


async def test_impossible_request_is_not_repeated(begin: Limited, engine: Engine, limit_key: LimitKey) -> None:
    limit_key(tokens_per_minute=100)
    gateway = await begin(route("smol", engine.url))
    answers: list[httpx.Response] = []

    async def note(answer: httpx.Response) -> None:
        answers.append(answer)

    async with client(gateway, max_retries=5) as sdk:
        sdk._client.event_hooks = {"response": [note]}
        with pytest.raises(openai.RateLimitError):
            await sdk.chat.completions.create(model="smol", messages=[], max_tokens=2000)
    assert len(answers) == 1
