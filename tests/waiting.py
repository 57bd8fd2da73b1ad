"""Waiting for what another process, thread or task does: `until` in synchronous code, `eventually` in asyncio's.

Patient, as a busy machine breaks no promise: what has to be quick is measured in a proof.
"""

import asyncio
import time
from collections.abc import Callable
from typing import Any, TypeVar

T = TypeVar("T")
PATIENCE = 120.0
"""seconds"""
PAUSE = 0.02
"""seconds between two looks"""


def until(look: Callable[[], T | None], seconds: float = PATIENCE, *, tell: Callable[[], object] = lambda: "") -> T:
    """The first true answer of `look`; after `seconds` the test fails with what `tell` says."""
    deadline = time.monotonic() + seconds
    while not (found := look()):
        assert time.monotonic() < deadline, f"still {found!r} after {seconds} s {tell()}"
        time.sleep(PAUSE)
    return found


async def eventually(check: Callable[[], Any], seconds: float = PATIENCE) -> None:
    """Return once `check`, which may be a coroutine function, is true; after `seconds` the test fails."""
    deadline = time.monotonic() + seconds
    while True:
        found = check()
        if asyncio.iscoroutine(found):
            found = await found
        if found:
            return
        assert time.monotonic() < deadline, f"still {found!r} after {seconds} s"
        await asyncio.sleep(PAUSE)
