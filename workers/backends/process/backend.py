"""The backend of one machine: a shim and an engine a replica, and a directory that says so."""

import fcntl
import os
import random
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from workers.backends.base import ALONE, BackendError, Fence, Obstacle, Phase, ReplicaStatus
from workers.backends.process import ports, requirements
from workers.backends.process.cleaning import kill_remains
from workers.backends.process.log_file import tail
from workers.backends.process.state import Order, ReplicaDirectory, directories
from workers.engines import vllm
from workers.engines.environment import python_of
from workers.engines.spec import ReplicaSpec

ROOT = Path(__file__).resolve().parents[3]
_SHIM = ("-S", "-E", "-m", "workers.backends.process.shim")
_START_SECONDS = 20
_MOST_THREADS = 16


@dataclass(frozen=True)
class Command:
    """How to run one engine. `environment` holds its key, so it is handed on and never written down."""

    argv: list[str]
    environment: dict[str, str]


CommandFor = Callable[[ReplicaSpec, int], Command]
Check = Callable[[ReplicaSpec], None]


class ProcessBackend:
    """`command_for` and `check` are vLLM's; tests give engines of their own."""

    def __init__(self, replicas_dir: Path, *, command_for: CommandFor, check: Check) -> None:
        self._dir = replicas_dir.resolve()
        self._command_for, self._check = command_for, check

    @classmethod
    def for_vllm(cls, replicas_dir: Path, engines_dir: Path) -> "ProcessBackend":
        def command_for(spec: ReplicaSpec, port: int) -> Command:
            python = python_of(spec.flavour, engines_dir)
            environment = vllm.environment(spec, python, os.environ, threads=_threads(), preload=_openmp(python))
            return Command(vllm.argv(spec, python, port), environment)

        def check(spec: ReplicaSpec) -> None:
            requirements.check(spec, engines_dir, replicas_dir, requirements.memory_available)

        return cls(replicas_dir, command_for=command_for, check=check)

    def apply(self, spec: ReplicaSpec, *, fence: Fence = ALONE) -> None:
        with _errors(), self._alone():
            directory = self._directory(spec.name)
            known = _status(directory)
            if known is None or known.phase is Phase.EXITED:
                self._start(directory, spec)
            elif known.phase is Phase.RUNNING and known.spec_hash != spec.spec_hash:
                self._stop(directory)
            else:
                self._set_drain(directory, spec.drain_seconds)

    def delete(self, name: str, *, grace_seconds: float | None = None, fence: Fence = ALONE) -> None:
        with _errors(), self._alone():
            directory = self._directory(name)
            known = _status(directory)
            if known is None or known.phase is Phase.EXITED:
                shutil.rmtree(directory.path, ignore_errors=True)
            else:
                if grace_seconds is not None:
                    self._set_drain(directory, grace_seconds)
                self._stop(directory)

    def observe(self) -> list[ReplicaStatus]:
        with _errors(), self._alone():  # between an order and its shim a replica looks as if it had died
            found = (_status(directory) for directory in directories(self._dir))
            return [status for status in found if status is not None]

    def _directory(self, name: str) -> ReplicaDirectory:
        return ReplicaDirectory(self._dir / name)

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """One order at a time, over all workers: they pick ports from the same range."""
        self._dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        with (self._dir / ".lock").open("w") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield

    def _start(self, directory: ReplicaDirectory, spec: ReplicaSpec) -> None:
        self._check(spec)
        _clean(directory)
        port = self._port(directory)
        command = self._command_for(spec, port)
        directory.make()
        directory.clear_run()
        directory.write_order(
            Order(tuple(command.argv), port, spec.spec_hash, float(spec.drain_seconds), spec.deployment)
        )
        self._run_shim(directory, command)

    def _port(self, directory: ReplicaDirectory) -> int:
        """Another one than last time too: a dying engine may hold that for a moment."""
        taken = [order.port for other in directories(self._dir) if (order := other.order())]
        try:
            return ports.pick(taken, random.SystemRandom())
        except ports.NoPortError as exc:
            raise BackendError(f"{directory.name}: {exc}: stop some replicas.", reason=Obstacle.NO_PORT) from exc

    @staticmethod
    def _run_shim(directory: ReplicaDirectory, command: Command) -> None:
        argv = [sys.executable, *_SHIM, str(directory.path)]
        try:
            done = subprocess.run(
                argv, cwd=ROOT, env=command.environment, stdin=subprocess.DEVNULL, capture_output=True, text=True,
                timeout=_START_SECONDS, check=False,
            )  # fmt: skip
        except subprocess.TimeoutExpired as exc:
            raise BackendError(f"{directory.name} could not be started within {_START_SECONDS} s.") from exc
        if done.returncode and directory.exit() is None:
            words = (done.stderr.strip().splitlines() or ["it said nothing"])[-1]
            raise BackendError(f"the supervisor of {directory.name} could not be started: {words}")

    @staticmethod
    def _stop(directory: ReplicaDirectory) -> None:
        """Tell the shim, which does the rest. A replica whose shim is gone has only remains to be killed."""
        directory.order_stop()
        run = directory.run()
        if run and not run.shim.send(signal.SIGTERM):
            kill_remains(directory, run)

    @staticmethod
    def _set_drain(directory: ReplicaDirectory, seconds: float) -> None:
        """The shim reads it again when it is told to stop."""
        order = directory.order()
        if order and order.drain_seconds != seconds:
            directory.write_order(replace(order, drain_seconds=float(seconds)))


def _threads() -> int:
    """The processors we may use; small models gain nothing from more than `_MOST_THREADS`."""
    return min(len(os.sched_getaffinity(0)), _MOST_THREADS)


def _openmp(python: Path) -> str:
    """Intel's OpenMP, where the environment has it: a third faster than the one in torch, measured on two cores."""
    library = python.parent.parent / "lib" / "libiomp5.so"
    return str(library) if library.exists() else ""


def _clean(directory: ReplicaDirectory) -> None:
    """Nothing of the last run may hold memory or a port when the next begins."""
    run = directory.run()
    if run and kill_remains(directory, run):
        raise BackendError(f"{directory.name}: the last engine's processes are being killed.", retry_after=1.0)


def _status(directory: ReplicaDirectory) -> ReplicaStatus | None:
    order = directory.order()
    if order is None:
        return None
    run, ordered = directory.run(), directory.stop_ordered()
    engine = run.engine if run else None
    alive = run is not None and run.shim.alive()
    end = directory.exit()  # after the look at the shim: it writes this down before it goes
    status = ReplicaStatus(
        name=directory.name, deployment=order.deployment, spec_hash=order.spec_hash, stop_ordered=ordered,
        phase=Phase.EXITED, started_at=run.started_at if run else None,
    )  # fmt: skip
    if alive and end is None:
        phase = Phase.STOPPING if ordered else Phase.RUNNING
        return replace(status, phase=phase, url=f"http://127.0.0.1:{order.port}", pid=engine.pid if engine else None)
    if end is None:  # the shim was killed before it could say anything
        if run:
            kill_remains(directory, run)
        return replace(status, message="its supervisor was killed", log_tail=tail(directory.log))
    return replace(
        status, exit_code=end.code, exit_signal=end.signal, stop_ordered=ordered or end.ordered,
        message=end.message, log_tail=tail(directory.log),
    )  # fmt: skip


@contextmanager
def _errors() -> Iterator[None]:
    try:
        yield
    except OSError as exc:
        reason = Obstacle.NO_DISK if exc.errno in {28, 122} else Obstacle.UNAVAILABLE
        where = f" ({exc.filename})" if exc.filename else ""
        raise BackendError(f"this machine refused: {exc.strerror or exc}{where}", reason=reason) from exc
