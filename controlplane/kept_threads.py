"""Requests are worked on by threads that are kept, as Django keeps connections by thread.

Django gives each request over ASGI a thread of its own, so each opened a connection to PostgreSQL, which took longer
than most of what was asked, and ``CONN_MAX_AGE`` meant nothing.
"""

from collections.abc import Awaitable, Callable
from typing import Any

from asgiref.sync import SyncToAsync, ThreadSensitiveContext
from django.db import connections

App = Callable[[Any, Any, Any], Awaitable[None]]
MOST_KEPT = 16
"""threads that wait for a request, each with its connection; more end with the request that they were made for"""


class KeptThreads:
    """An ASGI application whose requests take a waiting thread, else a new one; asgiref keeps an outer context."""

    def __init__(self, app: App) -> None:
        self._app = app
        self._waiting: list[ThreadSensitiveContext] = []

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        context = self._waiting.pop() if self._waiting else ThreadSensitiveContext()
        token = SyncToAsync.thread_sensitive_context.set(context)
        try:
            await self._app(scope, receive, send)
        finally:
            SyncToAsync.thread_sensitive_context.reset(token)
            executor = SyncToAsync.context_to_thread_executor.get(context)
            if executor is not None:
                # Whoever hung up may have left work behind: the thread waits for a request once that is done.
                executor.submit(self._keep, context)

    def _keep(self, context: ThreadSensitiveContext) -> None:
        if len(self._waiting) < MOST_KEPT:
            self._waiting.append(context)
        else:
            connections.close_all()
