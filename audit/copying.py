"""PostgreSQL's COPY as Django's connections have it."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from django.db.backends.base.base import BaseDatabaseWrapper
from psycopg import Copy


@contextmanager
def copying(connection: BaseDatabaseWrapper, statement: str, parameters: Sequence[Any] | None = None) -> Iterator[Copy]:
    """Inside, the stream of psycopg. Its errors are Django's: a cursor of Django's translates those of a call, and a
    COPY fails when it is entered, read or left.
    """
    with (
        connection.wrap_database_errors,
        connection.cursor() as cursor,
        cursor.copy(statement, parameters) as stream,
    ):
        yield stream
