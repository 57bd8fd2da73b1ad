"""Bodies above the cap are refused before they are stored anywhere."""

from collections.abc import MutableMapping
from typing import Any

import pytest

from controlplane.body_cap import BodyCap, Message, Receive, Send

MOST = 10


async def reader(scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
    """An application that reads all and says how much it was."""
    read, more = 0, True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            return
        read, more = read + len(message["body"]), message["more_body"]
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": str(read).encode()})


async def ask(*chunks: bytes, declared: bytes | None = None, kind: str = "http") -> list[Message]:
    waiting = [
        {"type": "http.request", "body": chunk, "more_body": number < len(chunks)}
        for number, chunk in enumerate(chunks, start=1)
    ]
    sent: list[Message] = []

    async def receive() -> Message:
        return waiting.pop(0)

    async def send(message: Message) -> None:
        sent.append(message)

    headers = [(b"content-length", declared)] if declared is not None else []
    await BodyCap(reader, MOST)({"type": kind, "headers": headers}, receive, send)
    return sent


@pytest.mark.parametrize("chunks", [(b"",), (b"x" * 10,), (b"x" * 5, b"x" * 5), (b"x" * 10, b"")])
async def test_up_to_the_cap_is_read(chunks: tuple[bytes, ...]) -> None:
    [start, body] = await ask(*chunks)
    assert (start["status"], body["body"]) == (200, str(sum(map(len, chunks))).encode())


@pytest.mark.parametrize("chunks", [(b"x" * 11,), (b"x" * 10, b"x"), (b"x" * 6, b"x" * 6, b"x" * 6)])
async def test_above_it_is_refused(chunks: tuple[bytes, ...]) -> None:
    start, _body = await ask(*chunks)
    assert start["status"] == 413
    assert (b"content-type", b"application/problem+json") in start["headers"]


async def test_declared_length_is_refused_unread() -> None:
    start, _body = await ask(declared=b"11")
    assert start["status"] == 413


@pytest.mark.parametrize("declared", [b"", b"x", b"-1", b"10"])
async def test_strange_lengths_are_counted(declared: bytes) -> None:
    start, _body = await ask(b"x", declared=declared)
    assert start["status"] == 200


async def test_other_protocols_pass() -> None:
    assert (await ask(b"", kind="websocket"))[0]["status"] == 200
