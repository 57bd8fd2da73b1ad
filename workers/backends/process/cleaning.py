"""Ending what a shim left behind: it was killed, and its engine's children may still hold memory and the port."""

import signal

from workers.backends.process.identity import Identity, session_members
from workers.backends.process.state import ReplicaDirectory, Run


def remains(directory: ReplicaDirectory, run: Run) -> list[Identity]:
    """Processes of the engine's session that are still alive."""
    return session_members(run.engine, directory.work) if run.engine else []


def kill_remains(directory: ReplicaDirectory, run: Run) -> int:
    """Kill them at once; answers how many there were. They come again for a look while they die."""
    left = remains(directory, run)
    for process in left:
        process.send(signal.SIGKILL)
    return len(left)
