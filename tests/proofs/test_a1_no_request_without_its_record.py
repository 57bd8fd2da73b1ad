"""A1: whatever is killed, and when the power fails, every request that a client was answered stands in the register,
once, with its intent, and with the bodies that it names.
"""

import random
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from bench.contestants import engine
from tests.proofs.machine import Machine, Told, asking, furnish, prepare
from tests.proofs.proof import Proof
from tests.proofs.recorded import show
from tests.proofs.volume import Volume, volume

TURNS = (
    ("worker",), ("postgresql",), ("gateway",), ("sealer",), ("valkey",), ("postgresql", "worker"),
    ("postgresql", "gateway"), ("valkey", "gateway"), ("postgresql", "sealer", "valkey"),
    ("gateway", "sealer", "postgresql", "valkey"),
)  # fmt: skip
"""what is killed, in turn and together"""
AWAY = 0.7
"""seconds: PostgreSQL stays away for up to so long, while records wait in the spool"""


@pytest.fixture(scope="module")
def prepared() -> Iterator[Path]:
    """The servers' data as they are before the first request."""
    # Not in pytest's directory: each run of pytest takes away the right of PostgreSQL's own user to pass it.
    with tempfile.TemporaryDirectory(prefix="sbx-a1-") as name:
        home = Path(name)
        prepare(home)
        yield home


@pytest.fixture
def place() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="sbx-a1-") as name:
        Path(name).chmod(0o755)
        yield Path(name)


@pytest.fixture
def chance() -> random.Random:
    """Moments are random, and differ from run to run."""
    return random.Random()


def kill(machine: Machine, told: Told, parts: tuple[str, ...], chance: random.Random) -> None:
    """At a random moment; and they come back after another one."""
    time.sleep(chance.random() * 0.3)
    machine.kill(parts)
    time.sleep(chance.random() * AWAY)
    machine.start(part for part in parts if part != "worker")


@pytest.mark.proof("A1", seconds=2400)
def test_kills(proof: Proof, prepared: Path, place: Path, chance: random.Random) -> None:
    requests, cycles, done = proof.full(10_000, 1_000_000), proof.full(10, 200), 0
    furnish(place / "home", prepared)
    with engine(place, chunks=4) as upstream:
        machine = Machine(place / "home", upstream.port, place)
        machine.start()
        try:
            with asking(machine, place / "told") as told:
                for number in proof.rounds(10, 200):
                    told.until_more(max(0, (number + 1) * requests // cycles - told.count()))
                    kill(machine, told, TURNS[number % len(TURNS)], chance)
                    done += 1
                told.until_more(100)
            show(proof, f"{done} times something was killed", machine, told)
        finally:
            machine.stop()


def cut(machine: Machine, disk: Volume, chance: random.Random, *, in_spool: bool) -> None:
    """The power fails at a random moment, sometimes while the records are in the spool; then all begins anew."""
    time.sleep(chance.random() * 0.3)
    if in_spool:
        machine.kill(["postgresql"])
        time.sleep(0.1 + chance.random() * AWAY)
    machine.freeze(part for part in ("gateway", "sealer") if part in machine.processes)
    disk.cut()
    machine.kill([part for part in ("gateway", "sealer", "valkey") if part in machine.processes])
    machine.kill(["postgresql"])
    disk.restore()
    machine.start()


@pytest.mark.proof("A1", seconds=900)
def test_power_cuts(proof: Proof, prepared: Path, place: Path, chance: random.Random) -> None:
    cuts = 0
    (place / "logs").mkdir()
    with engine(place, chunks=4) as upstream, volume(place / "disk", 4096 if proof.soak else 1024) as disk:
        home = disk.path / "home"
        furnish(home, prepared)
        machine = Machine(home, upstream.port, place / "logs")
        machine.start()
        try:
            with asking(machine, place / "told") as told:
                for number in proof.rounds(2, 50):
                    told.until_more(proof.full(300, 2_000))
                    cut(machine, disk, chance, in_spool=bool(number % 2))
                    cuts += 1
                told.until_more(100)
            show(proof, f"{cuts} power cuts", machine, told)
        finally:
            machine.stop()
