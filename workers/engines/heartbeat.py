"""Telling how far a long step is: installers that are not at a terminal say nothing for minutes."""

import shutil
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

SECONDS = 10.0
_MB = 1_000_000


@contextmanager
def heartbeat(progress: Callable[[str], None], what: str, disk: Path, seconds: float = SECONDS) -> Iterator[None]:
    """Report `what` now and every few seconds with what has been written to the disk of `disk` meanwhile."""
    free, done = shutil.disk_usage(disk).free, threading.Event()

    def beat() -> None:
        passed = 0.0
        while not done.wait(seconds):
            passed += seconds
            written = max(0, free - shutil.disk_usage(disk).free) // _MB
            progress(f"{what}: {passed:.0f} s, {written} MB written")

    progress(what)
    thread = threading.Thread(target=beat, daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()
