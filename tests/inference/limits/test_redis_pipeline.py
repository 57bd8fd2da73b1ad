import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest

from inference.redis_pipeline import Address, RedisError, RedisPipeline, RedisUnavailable, encode

from .conftest import Valkey

Talk = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def connected(url: str, *, patience: float = 0.25) -> AsyncIterator[RedisPipeline]:
    pipeline = RedisPipeline(url, timeout=patience)
    await pipeline.start()
    await pipeline.wait_connected(2)
    try:
        yield pipeline
    finally:
        await pipeline.close()


@asynccontextmanager
async def stand_in(path: Path, talk: Talk) -> AsyncIterator[str]:
    """A server that answers the greeting and then does as `talk` says."""

    serving: set[asyncio.Task[None]] = set()

    async def served(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        serving.add(asyncio.current_task())  # type: ignore[arg-type]
        with suppress(ConnectionError):
            await reader.read(1000)
            writer.write(b"+PONG\r\n")
            await talk(reader, writer)
        writer.close()
        with suppress(ConnectionError):
            await writer.wait_closed()

    server = await asyncio.start_unix_server(served, path)
    try:
        yield f"unix://{path}"
    finally:
        server.close()
        await asyncio.gather(*serving)


@pytest.mark.parametrize(
    ("url", "address"),
    [
        ("unix:///run/v.sock?db=3", Address("/run/v.sock", "127.0.0.1", 6379, False, "", "", 3)),
        ("redis://:s%40crt@cache:7000/2", Address(None, "cache", 7000, False, "", "s@crt", 2)),
        ("rediss://me:pw@cache", Address(None, "cache", 6379, True, "me", "pw", 0)),
    ],
)
def test_urls_are_understood(url: str, address: Address) -> None:
    assert Address.parse(url) == address


def test_other_urls_are_refused() -> None:
    with pytest.raises(ValueError, match="redis://"):
        Address.parse("http://cache")


def test_a_greeting_enters_and_selects() -> None:
    assert Address.parse("redis://me:pw@h/2").greeting() == [
        encode("AUTH", "me", "pw"), encode("SELECT", 2), encode("PING"),
    ]  # fmt: skip


def test_arguments_are_bytes_on_the_wire() -> None:
    assert encode("SET", "ключ", 5) == b"*3\r\n$3\r\nSET\r\n$8\r\n" + "ключ".encode() + b"\r\n$1\r\n5\r\n"


async def test_replies_find_their_callers(valkey: Valkey) -> None:
    async with connected(valkey.url) as pipeline:
        replies = await asyncio.gather(*(pipeline.call("ECHO", number) for number in range(1000)))
    assert replies == [str(number).encode() for number in range(1000)]


async def test_an_error_is_only_its_callers(valkey: Valkey) -> None:
    async with connected(valkey.url) as pipeline:
        results = await asyncio.gather(
            pipeline.call("ECHO", 1), pipeline.call("NONSENSE"), pipeline.call("ECHO", 2), return_exceptions=True
        )
    assert (results[0], results[2]) == (b"1", b"2")
    assert isinstance(results[1], RedisError)


async def test_a_tick_is_one_write(tmp_path: Path) -> None:
    chunks: list[bytes] = []

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        chunks.append(await reader.read(100_000))
        writer.write(b":1\r\n" * 100)
        await reader.read(1)

    async with stand_in(tmp_path / "s", talk) as url, connected(url) as pipeline:
        assert await asyncio.gather(*(pipeline.call("GET", n) for n in range(100))) == [1] * 100
    assert chunks == [b"".join(encode("GET", n) for n in range(100))]


@pytest.mark.parametrize("last_words", [b"", b":1\r\n$5\r\nha", b"?garbage\r\n", b":1\r\n" * 9])
async def test_who_waits_is_told_of_a_loss(tmp_path: Path, last_words: bytes) -> None:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(100_000)
        writer.write(last_words)
        await writer.drain()

    async with stand_in(tmp_path / "s", talk) as url, connected(url, patience=5) as pipeline:
        results = await asyncio.gather(*(pipeline.call("GET", n) for n in range(5)), return_exceptions=True)
    assert all(isinstance(result, RedisUnavailable) or result == 1 for result in results)
    assert len(results) == 5


async def test_a_hanging_server_is_left(tmp_path: Path) -> None:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()

    async with stand_in(tmp_path / "s", talk) as url, connected(url, patience=0.1) as pipeline, asyncio.timeout(1):
        with pytest.raises(RedisUnavailable):
            await pipeline.call("PING")


async def test_without_a_connection_the_answer_is_at_once(tmp_path: Path) -> None:
    pipeline = RedisPipeline(f"unix://{tmp_path}/none")
    await pipeline.start()
    await asyncio.sleep(0.1)
    with pytest.raises(RedisUnavailable):
        await pipeline.call("PING")
    await pipeline.close()


async def test_a_returning_server_is_found(valkey: Valkey) -> None:
    async with connected(valkey.url) as pipeline:
        valkey.kill()
        await asyncio.sleep(0.05)
        assert not pipeline.connected
        valkey.start()
        assert await pipeline.wait_connected(2)
        assert await pipeline.call("PING") == b"PONG"


async def test_a_wrong_password_is_never_connected(valkey: Valkey) -> None:
    with valkey.client() as client:
        client.config_set("requirepass", "right")
    try:
        url = valkey.url.replace("unix://", "unix://:wrong@")
        async with connected(url) as pipeline:
            assert not pipeline.connected
        async with connected(url.replace("wrong", "right")) as pipeline:
            assert await pipeline.call("PING") == b"PONG"
    finally:
        valkey.kill()
