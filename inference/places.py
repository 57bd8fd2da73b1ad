"""Which of the workers a process is: a number that its successor takes over when it dies.

The operating system gives the lock back with the process, however it ends.
"""

import fcntl
import os
from pathlib import Path

DIRECTORY = "PROMETHEUS_MULTIPROC_DIR"
"""names the directory that `inference.__main__` makes for all workers of this machine"""
_held: list[int] = []


def claim(workers: int) -> int | None:
    """A number from 0 to `workers` - 1 that no other live process of this gateway has; None when all are taken."""
    directory = os.environ.get(DIRECTORY)
    if directory is None:
        return None
    for place in range(workers):
        descriptor = os.open(Path(directory) / f"place-{place}", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            continue
        _held.append(descriptor)  # until this process ends
        return place
    return None
