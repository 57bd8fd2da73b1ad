"""Rows whose fate is unknown, written so that none is lost and none is doubled.

Each row has an id of its own, so those that PostgreSQL has already are left out. Should a lost connection's commit
arrive between the look and the write, the primary key refuses the copy and it is tried again.

A row that PostgreSQL refuses for what is in it would hold up all that wait behind it. It is found by halves, and an
entry of its own says that it was refused, why, and what it was, byte for byte.
"""

import logging
from base64 import b64encode
from collections.abc import Iterable
from datetime import UTC, datetime
from itertools import islice
from socket import gethostname
from typing import LiteralString, NamedTuple
from uuid import UUID

import psycopg
from psycopg import AsyncConnection
from psycopg.errors import DataError, IntegrityError, UniqueViolation
from psycopg.rows import TupleRow

from inference.contract import bodies
from inference.contract.events import COPY_STATEMENT, SEEN, TABLE, Event, pack_copy, pack_row
from inference.contract.ids import uuid7

logger = logging.getLogger(__name__)

BATCH = 2_000
ATTEMPTS = 5
REFUSED = "register.row_refused"
_ID = slice(6, 22)
"""the first column of a packed row, after the count of columns and its length"""


async def replay(connection: AsyncConnection[TupleRow], rows: Iterable[bytes]) -> int:
    """Commit those that are missing; returns how many. Raises psycopg's errors; what came before is committed then."""
    left, count = iter(rows), 0
    await connection.execute("SELECT set_config(%s, '*', false), set_config(%s, '*', false)", [SEEN, bodies.SEEN])
    while batch := list(islice(left, BATCH)):
        events, kept = bodies.parted(batch)
        async with connection.transaction():
            await _write_missing(connection, _BODIES, kept)
            count += await _write_missing(connection, _EVENTS, events)
    return count


class _Kind(NamedTuple):
    """Rows of one table."""

    look: LiteralString
    copy: LiteralString


_EVENTS = _Kind(f"SELECT id FROM {TABLE} WHERE id = ANY(%s)", COPY_STATEMENT)  # nosec B608  # noqa: S608 - constants
_BODIES = _Kind(f"SELECT id FROM {bodies.TABLE} WHERE id = ANY(%s)", bodies.COPY_STATEMENT)  # nosec B608  # noqa: S608


async def _write_missing(connection: AsyncConnection[TupleRow], kind: _Kind, batch: list[bytes]) -> int:
    by_id = {UUID(bytes=row[_ID]): row for row in batch}
    for attempt in range(ATTEMPTS if batch else 0):
        found = await connection.execute(kind.look, [list(by_id)])
        known = {row[0] for row in await found.fetchall()}
        missing = [row for identifier, row in by_id.items() if identifier not in known]
        try:
            await _copy_or_refuse(connection, kind, missing)
            return len(missing)
        except UniqueViolation:
            if attempt == ATTEMPTS - 1:
                raise
    return 0


async def _copy_or_refuse(connection: AsyncConnection[TupleRow], kind: _Kind, rows: list[bytes]) -> None:
    try:
        async with connection.transaction():
            await _copy(connection, kind.copy, rows)
    except UniqueViolation:
        raise
    except (DataError, IntegrityError) as exc:
        if len(rows) == 1:
            await _copy(connection, COPY_STATEMENT, [_refusal(rows[0], exc)])
            return
        half = len(rows) // 2
        await _copy_or_refuse(connection, kind, rows[:half])
        await _copy_or_refuse(connection, kind, rows[half:])


def _refusal(row: bytes, error: psycopg.Error) -> bytes:
    """What stands in the register in the place of a row that it cannot hold."""
    identifier, why = UUID(bytes=row[_ID]), str(error.diag.message_primary or error)
    logger.error("register: PostgreSQL refused the entry %s for what is in it: %s", identifier, why)
    return pack_row(
        Event(
            id=uuid7(), kind="system", operation=REFUSED, writer=f"refused/{identifier}", writer_seq=1,
            actor_type="system", target_type="event", target_id=str(identifier), at=datetime.now(UTC),
            host=gethostname(), source="gateway", reason=why, status="row_refused",
            detail={"row": b64encode(row).decode("ascii"), "sqlstate": error.sqlstate},
        )
    )  # fmt: skip


async def _copy(connection: AsyncConnection[TupleRow], statement: str, rows: list[bytes]) -> None:
    if rows:
        async with connection.cursor() as cursor, cursor.copy(statement) as copy:
            await copy.write(pack_copy(rows))
