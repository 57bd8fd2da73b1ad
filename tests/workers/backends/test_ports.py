"""Picking a port."""

import random
import socket

import pytest

from workers.backends.process import ports


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ports, "LAST", ports.FIRST + 2)


@pytest.mark.usefixtures("few")
def test_taken_port_is_left_out() -> None:
    port = ports.pick([ports.FIRST, ports.FIRST + 1], random.Random(1))
    assert port == ports.FIRST + 2


@pytest.mark.usefixtures("few")
def test_port_that_is_listened_on_is_left_out() -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", ports.FIRST + 1))
        other.listen()
        found = {ports.pick([], random.Random(seed)) for seed in range(20)}
    assert found == {ports.FIRST, ports.FIRST + 2}


@pytest.mark.usefixtures("few")
def test_no_port_left() -> None:
    with pytest.raises(ports.NoPortError):
        ports.pick(range(ports.FIRST, ports.FIRST + 3), random.Random(1))
