"""Ending every engine of an instance. Needs neither Django nor settings: the launcher calls it last of all."""

import signal
import time
from pathlib import Path

from workers.backends.process.cleaning import kill_remains
from workers.backends.process.state import ReplicaDirectory, Run, directories

_LAST_SECONDS = 5.0
_STEP = 0.05


def stop_all(replicas_dir: Path, timeout: float) -> list[str]:
    """End all engines that are written down in `replicas_dir` and wait; answers the names of those that ran.

    Each gets its own drain time, but none more than `timeout` seconds in all; what is alive then is killed.
    """
    running = [(directory, run) for directory in directories(replicas_dir) if (run := directory.run())]
    running = [(directory, run) for directory, run in running if _alive(directory, run)]
    for directory, run in running:
        directory.order_stop()
        run.shim.send(signal.SIGTERM)
    deadline = time.monotonic() + timeout
    for _, run in running:
        run.shim.wait(deadline - time.monotonic())
    for directory, run in running:
        _kill(directory, run)
    return [directory.name for directory, _ in running]


def _alive(directory: ReplicaDirectory, run: Run) -> bool:
    return run.shim.alive() or kill_remains(directory, run) > 0


def _kill(directory: ReplicaDirectory, run: Run) -> None:
    """The shim first, so that it starts nothing more; the kernel then kills the engine, and we its children."""
    run = directory.run() or run  # the engine may have been started after the first look
    run.shim.send(signal.SIGKILL)
    run.shim.wait(_LAST_SECONDS)
    deadline = time.monotonic() + _LAST_SECONDS
    while kill_remains(directory, run) and time.monotonic() < deadline:
        time.sleep(_STEP)
