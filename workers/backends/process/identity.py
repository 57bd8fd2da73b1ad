"""Telling processes apart for certain: by pid, start time and boot, never by name. Linux, standard library only."""

import os
import select
import signal
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Identity:
    """One process that was seen alive. A pid comes again; with its start time and the boot it does not."""

    pid: int
    started: int
    """clock ticks after boot, field 22 of /proc/PID/stat"""
    boot: str

    @classmethod
    def of(cls, pid: int) -> "Identity | None":
        """The process that has this pid now; None when there is none or it is a zombie."""
        fields = _stat(pid)
        if fields is None or fields[0] in {"Z", "X"}:
            return None
        return cls(pid, int(fields[19]), boot_id())

    def alive(self) -> bool:
        return Identity.of(self.pid) == self

    def send(self, number: signal.Signals) -> bool:
        """Send a signal to this very process; False when it is gone. A pidfd closes the gap between look and kill."""
        try:
            descriptor = os.pidfd_open(self.pid)
        except ProcessLookupError:
            return False
        try:
            if not self.alive():
                return False
            signal.pidfd_send_signal(descriptor, number)
        except ProcessLookupError:
            return False
        finally:
            os.close(descriptor)
        return True

    def wait(self, seconds: float) -> bool:
        """True once it is gone, False if it still is there after `seconds`."""
        try:
            descriptor = os.pidfd_open(self.pid)
        except ProcessLookupError:
            return True
        try:
            return not self.alive() or bool(select.select([descriptor], [], [], max(0.0, seconds))[0])
        finally:
            os.close(descriptor)


def boot_id() -> str:
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()


def session_members(leader: Identity, directory: Path) -> list[Identity]:
    """What is left of the session that `leader` began in `directory`, the leader included while it lives.

    Without the leader the session number alone proves nothing (it may be somebody else's by now), so every member must
    also stand in `directory`, which a process keeps through exec, fork and a change of its title.
    """
    now = Identity.of(leader.pid)
    if boot_id() != leader.boot or (now is not None and now != leader):
        return []
    found = []
    for pid in (int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit()):
        fields = _stat(pid)
        if fields is None or fields[0] in {"Z", "X"} or int(fields[3]) != leader.pid or not _stands_in(pid, directory):
            continue
        if int(fields[19]) >= leader.started:
            found.append(Identity(pid, int(fields[19]), leader.boot))
    return found


def _stands_in(pid: int, directory: Path) -> bool:
    try:
        return Path(f"/proc/{pid}/cwd").readlink() == directory
    except OSError:
        return False


def _stat(pid: int) -> list[str] | None:
    """The fields of /proc/PID/stat from the state on; the name before it may hold anything."""
    try:
        content = Path(f"/proc/{pid}/stat").read_text(errors="replace")
    except OSError:
        return None
    return content.rpartition(")")[2].split()
