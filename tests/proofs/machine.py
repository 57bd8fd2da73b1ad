"""What records a request, on one machine: gateway, sealer, PostgreSQL and Valkey, each of which may be killed.

All that they write lies below one directory, which may be a volume whose power can be cut.
"""

import contextlib
import os
import secrets
import signal
import subprocess
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import httpx
import psutil
import redis

from config import embedded
from inference.contract import bodies
from tests.inference.conftest import Key, Publisher, free_port, new_key, route
from tests.proofs.asker import WIDTH
from tests.proofs.store import MANAGE, Store
from tests.waiting import until

PARTS = ("postgresql", "valkey", "gateway", "sealer")
"""in the order in which they start"""
LEASE, CHECKPOINTS = 2, 2
"""seconds of the sealer"""


@dataclass
class Machine:
    """Everything of one `home`."""

    home: Path
    engine_port: int
    logs: Path
    port: int = field(default_factory=free_port)
    processes: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._metrics_port = free_port()
        self.store = Store(embedded.postgres(self.home), self.logs / "postgresql.log")
        self._valkey = embedded.valkey(self.home)
        self.person = bodies.new_private()
        """opens what is kept"""
        public = bodies.BodyKey(f"k{secrets.token_hex(6)}", bodies.public_of(self.person))
        modes = ["digest"] * 6 + ["full", "masked"]
        self.keys: list[Key] = [new_key(register_mode=mode, body_key=str(public)) for mode in modes]

    @property
    def environment(self) -> dict[str, str]:
        return {
            **os.environ, **self.store.server.environment, **self._valkey.environment, "SIGNALBOX_HOME": str(self.home),
            "SIGNALBOX_GATEWAY_PORT": str(self.port), "SIGNALBOX_GATEWAY_METRICS_PORT": str(self._metrics_port),
            "SIGNALBOX_GATEWAY_WORKERS": "1", "SIGNALBOX_GATEWAY_SPOOL": "on",
            "SIGNALBOX_GATEWAY_SPOOL_DIR": str(self.spool), "SIGNALBOX_GATEWAY_DRAIN_SECONDS": "1",
        }  # fmt: skip

    @property
    def spool(self) -> Path:
        return self.home / "spool"

    @property
    def spooled(self) -> bool:
        return any(self.spool.glob("*.spool"))

    def start(self, parts: Iterable[str] = PARTS) -> None:
        """What of these does not run; returns once the gateway takes requests."""
        wanted = set(parts)
        for part in PARTS:
            if part in wanted:
                getattr(self, f"_start_{part}")()
        self.wait()

    def _start_postgresql(self) -> None:
        self.store.start()

    def _start_valkey(self) -> None:
        self._valkey = embedded.valkey(self.home)  # as ``make up`` begins, mended after a power cut
        process = self._valkey.start(self.logs / "valkey.log")
        self._valkey.wait()
        self.processes["valkey"] = process
        self._publish()

    def _publish(self) -> None:
        """The gateway's tables, as the console publishes them again and again. No limits: they are L3."""
        with redis.Redis.from_url(self._valkey.url) as client:
            url = f"http://127.0.0.1:{self.engine_port}"
            Publisher(client).all(route("smol", url), keys=tuple(self.keys))

    def _start_gateway(self) -> None:
        self._spawn("gateway", "inference")

    def _start_sealer(self) -> None:
        self._spawn("sealer", "tests.proofs.sealer", str(LEASE), str(CHECKPOINTS))

    def _spawn(self, name: str, module: str, *arguments: str) -> None:
        with (self.logs / f"{name}.log").open("ab") as out:
            argv = [sys.executable, "-m", module, *arguments]
            self.processes[name] = subprocess.Popen(argv, stdout=out, stderr=out, env=self.environment)

    def wait(self) -> None:
        until(self._is_ready, tell=self.last_words)

    def _is_ready(self) -> bool:
        with contextlib.suppress(httpx.TransportError):
            return httpx.get(f"http://127.0.0.1:{self.port}/readyz", trust_env=False, timeout=2).status_code == 200
        return False

    def last_words(self) -> str:
        """Of all parts."""
        return "\n".join(path.read_text(errors="replace")[-1500:] for path in sorted(self.logs.glob("*.log")))

    def kill(self, parts: Iterable[str]) -> None:
        """SIGKILL to all processes of these; ``worker``: the gateway's alone, which its supervisor replaces."""
        for part in parts:
            if part == "postgresql":
                if self.store.process.poll() is None:  # without its disk it may have ended by itself
                    self.store.signal(signal.SIGKILL)
            elif part == "worker":
                _kill(psutil.Process(self.processes["gateway"].pid).children(recursive=True))
            else:
                process = self.processes.pop(part)
                _kill(_family(process))
                process.wait(10)

    def freeze(self, parts: Iterable[str]) -> None:
        """None of these says another word; only `kill` comes after."""
        for part in parts:
            for process in _family(self.processes[part]):
                process.suspend()

    def stop(self) -> None:
        """The end of the test; in order, PostgreSQL last."""
        self.kill([part for part in ("gateway", "sealer", "valkey") if part in self.processes])
        if self.store.process.poll() is None:
            self.store.process.send_signal(self.store.server.stop_signal)
            self.store.process.wait(30)


def _family(process: "subprocess.Popen[bytes]") -> list[psutil.Process]:
    parent = psutil.Process(process.pid)
    return [parent, *parent.children(recursive=True)]


def _kill(family: list[psutil.Process]) -> None:
    for process in family:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()
    psutil.wait_procs(family, 10)


class Told(NamedTuple):
    """The files of the clients."""

    directory: Path

    def ids(self, name: str) -> bytes:
        """As they are: only whole lines."""
        content = (self.directory / name).read_bytes()
        return content[: len(content) // WIDTH * WIDTH]

    def count(self, name: str = "acknowledged") -> int:
        path = self.directory / name
        return path.stat().st_size // WIDTH if path.exists() else 0

    def until_more(self, count: int) -> None:
        """Wait until so many more were acknowledged."""
        enough = self.count() + count
        until(lambda: self.count() >= enough, tell=lambda: f"{self.count()} of {enough}")


@contextlib.contextmanager
def asking(machine: Machine, directory: Path, clients: int = 32) -> Iterator[Told]:
    """Load until the end of the context, whatever happens to the machine."""
    directory.mkdir()
    argv = [sys.executable, "-m", "tests.proofs.asker", str(machine.port), str(directory), str(clients)]
    with (machine.logs / "asker.log").open("ab") as out:
        process = subprocess.Popen([*argv, *(key.token for key in machine.keys)], stdout=out, stderr=out)
    try:
        yield Told(directory)
    finally:
        process.terminate()
        assert process.wait(30) == 0, (machine.logs / "asker.log").read_text()[-2000:]


def prepare(home: Path) -> None:
    """A PostgreSQL with the register's tables, stopped in order: what machines begin with."""
    store = Store(embedded.postgres(home), home / "log")
    store.start()
    try:
        environment = {**os.environ, **store.server.environment}
        subprocess.run([sys.executable, MANAGE, "migrate", "-v0", "audit"], check=True, env=environment)
    finally:
        store.process.send_signal(store.server.stop_signal)
        store.process.wait(30)


def furnish(home: Path, prepared: Path) -> None:
    """Make `home` begin as `prepared` did."""
    home.mkdir(exist_ok=True)
    subprocess.run(["cp", "-a", str(prepared / "postgres"), str(home / "postgres")], check=True)  # keeps the owner
    sync(home)


def sync(home: Path) -> None:
    """No power cut takes what is there until now."""
    subprocess.run(["sync", "-f", str(home)], check=True)
