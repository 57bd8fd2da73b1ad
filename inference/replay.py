"""Rows whose fate is unknown, written so that none is lost and none is doubled.

Each row has an id of its own, so those that PostgreSQL has already are left out. Should a lost connection's commit
arrive between the look and the write, the primary key refuses the copy and it is tried again.
"""

from collections.abc import Iterable
from itertools import islice
from typing import LiteralString, NamedTuple
from uuid import UUID

from psycopg import AsyncConnection
from psycopg.errors import UniqueViolation
from psycopg.rows import TupleRow

from inference.contract import bodies
from inference.contract.events import COPY_STATEMENT, SEEN, TABLE, pack_copy

BATCH = 2_000
ATTEMPTS = 5
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
            async with connection.transaction():
                await _copy(connection, kind.copy, missing)
            return len(missing)
        except UniqueViolation:
            if attempt == ATTEMPTS - 1:
                raise
    return 0


async def _copy(connection: AsyncConnection[TupleRow], statement: str, rows: list[bytes]) -> None:
    if rows:
        async with connection.cursor() as cursor, cursor.copy(statement) as copy:
            await copy.write(pack_copy(rows))
