"""Limiter processes under load, and what a sliding window over all of them holds."""

import contextlib
import subprocess
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import msgspec

from tests.proofs.limiting import Decision, Task

QUICK_WINDOW_MS = 60 * 50
"""a minute of the quick build"""


class Limiters:
    """So many processes, which ask for so many seconds."""

    def __init__(self, home: Path) -> None:
        self._home = home
        self.processes: list[subprocess.Popen[str]] = []

    def start(self, count: int, **task: Any) -> None:
        """Return when all have started. `task` are fields of `Task`."""
        for place in range(count):
            self.add(place, gateways=count, **task)
        for process in self.processes[-count:]:
            self.wait_ready(process)

    def add(self, place: int, **task: Any) -> subprocess.Popen[str]:
        out = self._home / f"{len(self.processes)}.jsonl"
        whole = Task(out=str(out), place=place, **task)
        argv = [sys.executable, "-m", "tests.proofs.limiting", msgspec.json.encode(whole).decode()]
        self.processes.append(subprocess.Popen(argv, stdout=subprocess.PIPE, text=True))
        return self.processes[-1]

    @staticmethod
    def wait_ready(process: subprocess.Popen[str]) -> None:
        assert process.stdout
        assert process.stdout.readline() == "ready\n"

    def decisions(self) -> list[Decision]:
        """What all of them were told by now; a killed one's torn last line is left out."""
        lines = [line for path in self._home.glob("*.jsonl") for line in path.read_bytes().splitlines(keepends=True)]
        return [msgspec.json.decode(line, type=Decision) for line in lines if line.endswith(b"\n")]

    def finish(self) -> list[Decision]:
        """All decisions, once everybody has ended."""
        for process in self.processes:
            process.wait()
        return self.decisions()


@contextlib.contextmanager
def limiters(home: Path) -> Iterator[Limiters]:
    home.mkdir()
    started = Limiters(home)
    try:
        yield started
    finally:
        for process in started.processes:
            process.kill()
            process.communicate()


def admitted(decisions: Iterable[Decision], kind: str) -> list[Decision]:
    """Those let through, by the server's time."""
    return sorted((each for each in decisions if each.kind == kind and each.at), key=lambda each: each.at)


def most_in_a_window(weighed: list[tuple[int, int]], window: int) -> int:
    """The largest sum of weights, at moments in order, within any `window` ms."""
    most = total = first = 0
    for at, weight in weighed:
        total += weight
        while weighed[first][0] <= at - window:
            total -= weighed[first][1]
            first += 1
        most = max(most, total)
    return most


def most_at_once(held: list[Decision]) -> int:
    """The most slots that were held at one moment. Admissions are known by the millisecond: one that is not over yet
    counts from its end."""
    edges = sorted([(each.at + 1, 1) for each in held] + [(max(each.until, each.at + 1), -1) for each in held])
    most = now = 0
    for _, change in edges:
        now += change
        most = max(most, now)
    return most


def under_admission(at: list[int], limit: int, window: int) -> float | None:
    """By how much less than the limit was let through, over as many whole limits as were used up."""
    cycles = (len(at) - 1) // limit
    return 1 - cycles * window / (at[cycles * limit] - at[0]) if cycles else None
