"""Sealers that are processes of their own, so that they can be killed and frozen at any step."""

import itertools
import os
import signal
import sys
import traceback
from collections.abc import Callable
from enum import IntEnum
from typing import Any

from django.db import DatabaseError, connection, connections
from django.utils import timezone

from audit.checkpoints import write_checkpoint
from audit.models import Seal, SealerLease
from audit.sealer import Deposed, seal_next, take_lease

Wrapper = Callable[..., Any]


class End(IntEnum):
    """How the process of a sealer ended by itself."""

    WELL = 0
    BROKEN = 1
    DEPOSED = 3
    DISCONNECTED = 4


def fork(work: Callable[[], None]) -> int:
    """The id of a process that does it."""
    connections.close_all()  # a forked process must not share one
    child = os.fork()
    if child:
        return child
    end = End.BROKEN
    try:
        work()
        end = End.WELL
    except Deposed:
        end = End.DEPOSED
    except DatabaseError:
        end = End.DISCONNECTED
    except BaseException:  # noqa: BLE001 - nothing of pytest may run twice
        traceback.print_exc(file=sys.__stderr__)
    os._exit(end)


def ended(child: int) -> int:
    """How it ended; negative: by that signal."""
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def until_frozen(child: int) -> None:
    assert os.WIFSTOPPED(os.waitpid(child, os.WUNTRACED)[1])


def signal_before(number: signal.Signals, is_meant: Callable[[int, str], bool]) -> Wrapper:
    """Sends it to the own process before the statement of which `is_meant` (its place from 1, its text) is true."""
    places = itertools.count(1)

    def wrapper(execute: Wrapper, sql: str, *arguments: Any) -> Any:
        if is_meant(next(places), sql):
            os.kill(os.getpid(), number)
        return execute(sql, *arguments)

    return wrapper


def tick(holder: str) -> None:
    """What a sealer does once a second, with the checkpoint of a minute."""
    epoch = take_lease(holder)
    if epoch is not None:
        while seal_next(epoch, sweep=True) is not None:
            pass
        write_checkpoint(timezone.now())


def tick_with(holder: str, wrapper: Wrapper) -> None:
    with connection.execute_wrapper(wrapper):
        tick(holder)


def end_lease() -> None:
    """As if nobody had asked for it for long."""
    SealerLease.objects.update(until=timezone.now())


def sealed() -> int:
    """Rows that are bound."""
    newest = Seal.objects.first()
    return newest.total if newest else 0
