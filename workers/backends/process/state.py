"""What is written down of a replica, in a directory of its own. Standard library only: shim and launcher read it too.

- ``spec.json``  what was ordered, by the backend: command line, port, hash, drain time. Not the environment: it holds
  keys.
- ``run.json``   who runs, by the shim: the identities of shim and engine.
- ``exit.json``  how it ended, by the shim.
- ``stop``       an empty file: the end was ordered.
- ``engine.log`` and older ones ``engine.1.log``…; ``work/`` is where the engine stands, by which it is known.
"""

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from workers.backends.process.identity import Identity


@dataclass(frozen=True)
class Order:
    """What the backend ordered."""

    argv: tuple[str, ...]
    port: int
    spec_hash: str
    drain_seconds: float
    deployment: str


@dataclass(frozen=True)
class Run:
    """What the shim started. `engine` is None until the engine runs."""

    shim: Identity
    engine: Identity | None
    started_at: float


@dataclass(frozen=True)
class Exit:
    """How the engine ended: an exit code or the number of a signal."""

    code: int | None
    signal: int | None
    at: float
    ordered: bool
    message: str = ""


class ReplicaDirectory:
    """The files of one replica. Reading what is missing or half-written gives None."""

    def __init__(self, path: Path) -> None:
        self.path = path.resolve()
        self.name = path.name

    @property
    def work(self) -> Path:
        return self.path / "work"

    @property
    def log(self) -> Path:
        return self.path / "engine.log"

    def make(self) -> None:
        for directory in (self.path, self.work):
            directory.mkdir(mode=0o700, parents=True, exist_ok=True)

    def order(self) -> Order | None:
        data = self._read("spec.json")
        try:
            return Order(**(data | {"argv": tuple(data["argv"])})) if data else None
        except (TypeError, KeyError):
            return None

    def run(self) -> Run | None:
        data = self._read("run.json")
        try:
            if not data:
                return None
            engine = Identity(**data["engine"]) if data["engine"] else None
            return Run(Identity(**data["shim"]), engine, float(data["started_at"]))
        except (TypeError, KeyError, ValueError):
            return None

    def exit(self) -> Exit | None:
        data = self._read("exit.json")
        try:
            return Exit(**data) if data else None
        except TypeError:
            return None

    def stop_ordered(self) -> bool:
        return (self.path / "stop").exists()

    def write_order(self, order: Order) -> None:
        self._write("spec.json", asdict(order))

    def write_run(self, run: Run) -> None:
        self._write("run.json", asdict(run))

    def write_exit(self, exit_: Exit) -> None:
        self._write("exit.json", asdict(exit_))

    def order_stop(self) -> None:
        (self.path / "stop").touch()

    def clear_run(self) -> None:
        """Forget the last run before the next; its log stays."""
        for name in ("run.json", "exit.json", "stop"):
            (self.path / name).unlink(missing_ok=True)

    def _read(self, name: str) -> dict[str, Any] | None:
        try:
            data = json.loads((self.path / name).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return None
        return data if isinstance(data, dict) else None

    def _write(self, name: str, data: dict[str, Any]) -> None:
        """Whole or not at all, and on the disk."""
        partial = self.path / f".{name}.{os.getpid()}"
        with open(partial, "w", encoding="utf-8", opener=_private) as file:
            json.dump(data, file)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(self.path / name)


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


def directories(replicas_dir: Path) -> list[ReplicaDirectory]:
    """Every replica that something is written down of."""
    if not replicas_dir.is_dir():
        return []
    return [ReplicaDirectory(path) for path in sorted(replicas_dir.iterdir()) if (path / "spec.json").is_file()]
