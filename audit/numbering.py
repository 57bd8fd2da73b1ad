"""The numbers of events that stand in a transaction: without a gap, though transactions run side by side and some fail.

A transaction borrows a writer of this process and numbers its events on from the last one that was committed. When it
commits, the numbers stand and the writer is lent on. When it does not, or nobody knows, the writer is never lent again:
so no number is given twice, and a number that is missing was taken out of the register.
"""

import os
import socket
import threading
from collections import deque
from dataclasses import dataclass, field
from typing import Any

from inference.contract.ids import uuid7

HOST = socket.gethostname()


class _Counts:
    """1, 2, …: writers of the same millisecond differ."""

    def __init__(self) -> None:
        self._lock, self._last = threading.Lock(), 0

    def __next__(self) -> int:
        with self._lock:
            self._last += 1
            return self._last


_counts = _Counts()


@dataclass(slots=True)
class Writer:
    """A series of numbers."""

    name: str = field(default_factory=lambda: f"{HOST}/{os.getpid()}/{uuid7().hex[:12]}{next(_counts):x}")
    committed: int = 0
    """the last number that stands"""


_free: deque[Writer] = deque()
os.register_at_fork(after_in_child=_free.clear)  # a forked child has writers of its own


class _Loan:
    """A writer for the time of one transaction."""

    __slots__ = ("open", "writer")

    def __init__(self) -> None:
        try:
            self.writer = _free.pop()
        except IndexError:
            self.writer = Writer()
        self.open = 0
        """events that wait for the commit"""


class Numbered:
    """An event's number; also the hook that Django calls after the commit, and forgets when there is none."""

    __slots__ = ("_loan", "number", "writer")

    def __init__(self, loan: _Loan, number: int) -> None:
        self._loan, self.number, self.writer = loan, number, loan.writer.name

    def follower(self) -> "Numbered":
        return Numbered(self._loan, self.number + 1)

    def stands_with(self, connection: Any) -> None:
        """The event is written: its number stands if the transaction does."""
        self._loan.open += 1
        connection.on_commit(self)

    def __call__(self) -> None:
        self._loan.writer.committed = self.number
        self._loan.open -= 1
        if not self._loan.open:
            _free.append(self._loan.writer)


def next_number(connection: Any) -> Numbered:
    """The number of the connection's next event. Django's list of hooks has those that still stand."""
    waiting = [hook for _, hook, *_ in connection.run_on_commit if isinstance(hook, Numbered)]
    if waiting:
        return waiting[-1].follower()
    loan = _Loan()
    return Numbered(loan, loan.writer.committed + 1)
