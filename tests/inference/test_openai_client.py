"""The official client finds what it expects."""

import openai
import pytest

from tests.inference.conftest import Gateway, Start, route
from tests.inference.engine import Engine


def client(gateway: Gateway, key: str | None = None) -> openai.AsyncOpenAI:
    return openai.AsyncOpenAI(base_url=f"{gateway.url}/v1", api_key=key or gateway.key.token, max_retries=0)


@pytest.fixture
async def gateway(start: Start, engine: Engine) -> Gateway:
    return await start(route("smol", engine.url))


async def test_lists_models(gateway: Gateway) -> None:
    async with client(gateway) as ai:
        assert [model.id for model in (await ai.models.list()).data] == ["smol"]


async def test_chats(gateway: Gateway) -> None:
    async with client(gateway) as ai:
        chat = await ai.chat.completions.create(model="smol", messages=[{"role": "user", "content": "hi"}])
        assert chat.choices[0].message.content == "Paris"


@pytest.mark.parametrize("usage", [True, False])
async def test_streams(gateway: Gateway, usage: bool) -> None:
    async with client(gateway) as ai:
        stream = await ai.chat.completions.create(
            model="smol",
            messages=[{"role": "user", "content": "hi"}],
            stream=True,
            stream_options={"include_usage": usage},
        )
        chunks = [chunk async for chunk in stream]
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices) == "Paris"
    assert (chunks[-1].usage is not None) is usage


async def test_wrong_key_is_an_authentication_error(gateway: Gateway) -> None:
    async with client(gateway, "sk-wrong") as ai:
        with pytest.raises(openai.AuthenticationError):
            await ai.models.list()


async def test_unknown_model_is_not_found(gateway: Gateway) -> None:
    async with client(gateway) as ai:
        with pytest.raises(openai.NotFoundError):
            await ai.chat.completions.create(model="none", messages=[{"role": "user", "content": "hi"}])
