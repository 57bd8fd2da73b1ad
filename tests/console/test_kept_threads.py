"""Requests one after the other are worked on by one thread, those at once by one each."""

import asyncio
import threading
from collections.abc import Callable
from typing import Any
from unittest.mock import Mock

import pytest
from asgiref.sync import ThreadSensitiveContext, sync_to_async

from controlplane import kept_threads
from controlplane.kept_threads import KeptThreads


def ask(app: Any, *, times: int, at_once: int) -> None:
    async def asking() -> None:
        for _ in range(times):
            await asyncio.gather(*(app({}, None, None) for _ in range(at_once)))
            await asyncio.sleep(0.01)  # a thread waits again once it has done all it was given

    asyncio.run(asking())


def with_work(work: Callable[[], object]) -> Any:
    """An application that does it as Django's handler does a request."""

    async def django(*_args: Any) -> None:
        async with ThreadSensitiveContext():
            await sync_to_async(work)()

    return django


def test_thread_is_taken_again() -> None:
    seen: list[int] = []

    ask(KeptThreads(with_work(lambda: seen.append(threading.get_ident()))), times=5, at_once=1)
    assert (len(seen), len(set(seen))) == (5, 1)


def test_threads_that_are_too_many_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kept_threads, "MOST_KEPT", 2)
    together, closed = threading.Barrier(5, timeout=10), Mock()
    monkeypatch.setattr(kept_threads.connections, "close_all", closed)
    app = KeptThreads(with_work(together.wait))
    ask(app, times=1, at_once=5)
    assert (len(app._waiting), closed.call_count) == (2, 3)


def test_requests_at_once_do_not_wait_for_each_other() -> None:
    together = threading.Barrier(3, timeout=10)

    ask(KeptThreads(with_work(together.wait)), times=2, at_once=3)
