"""An entry that PostgreSQL refuses for what is in it holds nobody up, and its refusal stands in the register."""

from base64 import b64decode
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import psycopg
from psycopg.rows import dict_row

from inference.contract.events import Event, pack_row
from inference.contract.ids import uuid7
from inference.replay import REFUSED, replay


def entry(*, poisoned: bool = False) -> tuple[UUID, bytes]:
    event = Event(
        id=uuid7(), kind="intent", operation="inference.chat", actor_type="api_key", at=datetime.now(UTC),
        writer="w", writer_seq=1, reason="QQQQ",
    )  # fmt: skip
    row = pack_row(event)
    return event.id, row.replace(b"QQQQ", b"\xff\xff\xff\xff") if poisoned else row


async def bring_back(url: str, rows: list[bytes]) -> int:
    async with await psycopg.AsyncConnection.connect(url, autocommit=True) as connection:
        return await replay(connection, rows)


def found(url: str, column: str, values: list[Any]) -> list[dict[str, Any]]:
    with psycopg.connect(url, row_factory=dict_row) as connection:
        return connection.execute(f"SELECT * FROM audit_event WHERE {column} = ANY(%s)", [values]).fetchall()


async def test_the_others_are_written(database_url: str, owner_url: str) -> None:
    entries = [entry(poisoned=number in {0, 3}) for number in range(7)]
    assert await bring_back(database_url, [row for _, row in entries]) == 7
    there = {row["id"] for row in found(owner_url, "id", [identifier for identifier, _ in entries])}
    assert there == {identifier for number, (identifier, _) in enumerate(entries) if number not in {0, 3}}


async def test_the_refusal_keeps_every_byte(database_url: str, owner_url: str) -> None:
    identifier, poison = entry(poisoned=True)
    await bring_back(database_url, [poison])
    (row,) = found(owner_url, "target_id", [str(identifier)])
    assert (row["operation"], row["status"], row["kind"]) == (REFUSED, "row_refused", "system")
    assert "invalid byte sequence" in row["reason"]
    assert b64decode(row["detail"]["row"]) == poison
