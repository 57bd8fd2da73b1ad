"""The lines people see while things start: what is being done, how long it took, what went wrong and what to do."""

import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NoReturn

Report = Callable[[str], None]
HEARTBEAT_SECONDS = 5


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
    begun, doing, done = time.monotonic(), [title], threading.Event()

    def report(line: str) -> None:
        if line != doing[0]:
            doing[0] = line
            say(f"    {line}")

    def beat() -> None:
        while not done.wait(HEARTBEAT_SECONDS):
            say(f"    … {time.monotonic() - begun:.0f} s: {doing[0]}")

    say(f"==> {title}")
    threading.Thread(target=beat, daemon=True).start()
    try:
        yield report
    finally:
        done.set()
    say(f"    done in {time.monotonic() - begun:.1f} s")
