"""`make up` is often told to stop twice at once: by the terminal, and by make, which passes its own signal on."""

import os
import signal
from collections.abc import Iterator

import pytest

from config.up import __main__ as up

STOPS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@pytest.fixture(autouse=True)
def handlers() -> Iterator[None]:
    before = {number: signal.getsignal(number) for number in STOPS}
    up._on_signals(up._raise_stopped)
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.parametrize("first", STOPS)
@pytest.mark.parametrize("second", STOPS)
def test_second_signal_does_not_break_into_the_stopping(first: signal.Signals, second: signal.Signals) -> None:
    with pytest.raises(up.Stopped):
        os.kill(os.getpid(), first)
    os.kill(os.getpid(), second)
