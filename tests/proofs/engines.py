"""Engine processes that may be killed, frozen and told to stop."""

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field

import httpx

from tests.inference.conftest import free_port
from tests.waiting import until


@dataclass
class EngineProcess:
    """Its process may die; its `port` stays."""

    port: int = field(default_factory=free_port)
    process: subprocess.Popen[bytes] = field(init=False)

    def __post_init__(self) -> None:
        self.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Return once it answers."""
        self.process = subprocess.Popen([sys.executable, "-m", "tests.proofs.engine", str(self.port)])
        until(self.answers)

    def answers(self) -> bool:
        with contextlib.suppress(httpx.TransportError):
            return httpx.get(f"{self.url}/health", trust_env=False, timeout=1).status_code == 200
        return False

    def signal(self, number: signal.Signals) -> None:
        os.kill(self.process.pid, number)

    def kill(self) -> None:
        """However it is."""
        self.process.kill()
        self.process.wait()


@contextlib.contextmanager
def engines(count: int) -> Iterator[list[EngineProcess]]:
    """So many of them, ended at the end."""
    with contextlib.ExitStack() as stack:
        started = []
        for _ in range(count):
            started.append(EngineProcess())
            stack.callback(started[-1].kill)
        yield started
