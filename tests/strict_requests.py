"""A test's process sees all projects, so that tests can look at everything. Its requests must not: they begin as they
do in the console's process, where the database shows nothing until it is known who asks.
"""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from typing import Any

import psycopg
from django.db import connection
from django.http import HttpRequest

from controlplane.access import scope

_TELL = "SELECT set_config('signalbox.keys_of', %(told)s, false), set_config('signalbox.events_of', %(told)s, false)"
OfRequest = Callable[[HttpRequest], AbstractContextManager[None]]


def begin_with_nothing(of_request: OfRequest) -> OfRequest:
    """Told past Django, before the request's first statement, so that no count of statements knows of it."""

    @contextmanager
    def strict(request: HttpRequest) -> Iterator[None]:
        told: list[Any] = []

        def deny(execute: Any, sql: Any, params: Any, many: Any, context: Any) -> Any:
            if not told:
                told.append(context["connection"].connection)
                told[0].execute(_TELL, {"told": ""})
            return execute(sql, params, many, context)

        before = scope._told.get()
        scope._told.set(scope.NOTHING)
        try:
            with connection.execute_wrapper(deny), of_request(request):
                yield
        finally:
            scope._told.set(before)
            for known in told:
                with suppress(psycopg.Error):  # a broken transaction takes it back by itself, a lost connection too
                    known.execute(_TELL, {"told": "*"})

    return strict
