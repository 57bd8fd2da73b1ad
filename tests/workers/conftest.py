"""Process backends with engines of the tests' own; whatever they started is ended afterwards."""

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from workers.backends.process.backend import Command, ProcessBackend
from workers.backends.process.shutdown import stop_all
from workers.engines.spec import ReplicaSpec

ENGINE = Path(__file__).with_name("fake_engine.py")

MakeBackend = Callable[..., ProcessBackend]


@pytest.fixture
def replicas_dir(tmp_path: Path) -> Iterator[Path]:
    path = tmp_path / "replicas"
    yield path
    stop_all(path, timeout=0)


@pytest.fixture
def make_backend(replicas_dir: Path) -> MakeBackend:
    """`make_backend("crash", …)`: a backend whose engines behave so. Called again it is a worker that was restarted."""

    def make(*behaviours: str) -> ProcessBackend:
        def command_for(spec: ReplicaSpec, port: int) -> Command:
            argv = [sys.executable, "-S", "-E", str(ENGINE), str(port), *behaviours]
            return Command(argv, {"VLLM_API_KEY": spec.engine_key, "PATH": "/usr/bin:/bin"})

        return ProcessBackend(replicas_dir, command_for=command_for, check=lambda _: None)

    return make
