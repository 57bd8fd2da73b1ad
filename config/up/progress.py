"""The lines people see while things start: what is being done, how long it took, what went wrong and what to do."""

import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NoReturn

Report = Callable[[str], None]
HEARTBEAT_SECONDS = 10.5  # a little more than the steps' own, so that a line is not said twice


class UpError(Exception):
    """A start that cannot go on. The message is one line that says what to do."""


def say(line: str) -> None:
    print(line, flush=True)


def fail(message: str) -> NoReturn:
    """One clear line on standard error, exit status 1."""
    print(f"signalbox: {message}", file=sys.stderr, flush=True)
    sys.exit(1)


@contextmanager
def step(title: str) -> Iterator[Report]:
    """Announce a step and its end. The yielded function tells what it is at; a long silence is filled with the time."""
    clock, over = _Clock(title), threading.Event()

    def beat() -> None:
        while not over.wait(1):
            clock.fill_silence()

    say(f"==> {title}")
    threading.Thread(target=beat, daemon=True).start()
    try:
        yield clock.report
    finally:
        over.set()
    say(f"    done in {clock.elapsed():.1f} s")


class _Clock:
    """When a step began, what it is at, and when that was last said."""

    def __init__(self, title: str) -> None:
        self._begun = self._said = time.monotonic()
        self._doing = title

    def elapsed(self) -> float:
        return time.monotonic() - self._begun

    def report(self, line: str) -> None:
        if line != self._doing:
            self._doing, self._said = line, time.monotonic()
            say(f"    {line}")

    def fill_silence(self) -> None:
        if time.monotonic() - self._said >= HEARTBEAT_SECONDS:
            self._said = time.monotonic()
            say(f"    … {self.elapsed():.0f} s: {self._doing}")
