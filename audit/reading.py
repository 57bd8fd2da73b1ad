"""Rows of the register as leaves of seals, read from PostgreSQL as they are stored."""

from collections.abc import Iterator, Sequence
from typing import Any

from django.db import DEFAULT_DB_ALIAS, connections

from audit import merkle
from audit.copying import copying
from audit.seals import Leaf
from inference.contract import canonical
from inference.contract.events import TABLE

_NUMBER, _AT = canonical.ORDER.index("writer_seq"), canonical.ORDER.index("at")
OF_WRITER = "WHERE writer = %s AND writer_seq > 0 AND writer_seq BETWEEN %s AND %s ORDER BY writer_seq, at LIMIT %s"

_SESSION = (
    "SET LOCAL TimeZone = 'UTC'", "SET LOCAL DateStyle = 'ISO'",
    # Rows that follow each other in an index: dealing them out to workers and sorting them again costs more.
    "SET LOCAL max_parallel_workers_per_gather = 0", "SET LOCAL jit = off",
)  # fmt: skip


def content(row: bytes) -> bytes:
    """A row's canonical bytes. One that no writer of ours writes stops nobody: it is taken as PostgreSQL tells it."""
    try:
        return canonical.line(row)
    except canonical.NotCanonical:
        return b"!" + row


def rows(
    condition: str, parameters: Sequence[Any], table: str = TABLE, using: str = DEFAULT_DB_ALIAS
) -> Iterator[bytes]:
    """Rows as COPY tells them, without their end of line; in a transaction of the caller's."""
    with connections[using].cursor() as cursor:
        for setting in _SESSION:
            cursor.execute(setting)
    with copying(connections[using], canonical.copy_out(condition, table), parameters) as stream:
        for row in stream:
            yield bytes(row)[:-1]


def leaf_of(row: bytes, writer: str) -> Leaf:
    """The row of `rows` as a leaf."""
    fields = row.split(b"\t", _AT + 1)
    try:
        at = canonical.time(fields[_AT]).decode()
    except canonical.NotCanonical:
        at = ""
    return Leaf(writer, int(fields[_NUMBER]), at, merkle.leaf(content(row)))


def leaves_of(writer: str, first: int, last: int, most: int) -> Iterator[Leaf]:
    """What the register has of these numbers of a writer, ascending; a number that it has twice comes twice."""
    return (leaf_of(row, writer) for row in rows(OF_WRITER, [writer, first, last, most]))
