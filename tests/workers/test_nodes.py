"""A machine tells of itself: what its processes may use of it, what is free, and what runs on it."""

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.utils import timezone

from controlplane.models import Node
from tests import factories
from workers import fleet, machine
from workers.backends.base import BackendError, Phase, ReplicaStatus
from workers.tasks.nodes import FORGET_AFTER, write_node

GIB = 2**30
TOLD = """\
NVIDIA H100 80GB HBM3, GPU-5a2e, 570.86.15, 81559, 73012, 98, 63
Tesla T4, GPU-77, 570.86.15, 15360, 0, [N/A], [Not Supported]
"""


# -- reading


@pytest.mark.parametrize(
    ("allowed", "cpu_max", "found"),
    [(8, "", 8.0), (8, "max 100000", 8.0), (8, "150000 100000", 1.5), (2, "400000 100000", 2.0), (4, "1 0", 4.0)],
)
def test_cores_are_what_may_be_used(allowed: int, cpu_max: str, found: float) -> None:
    assert machine.cores(allowed, cpu_max) == found


@pytest.mark.parametrize(
    ("most", "used", "found"),
    [(None, None, (64, 40)), (2**60, 1, (64, 40)), (16, 10, (16, 6)), (16, 20, (16, 0)), (60, 1, (60, 40))],
)
def test_memory_is_what_may_be_used(most: int | None, used: int | None, found: tuple[int, int]) -> None:
    assert machine.within(64, 40, most, used) == found


def test_gpus_are_read() -> None:
    first, second = machine.read_gpus(TOLD)
    assert first == {
        "name": "NVIDIA H100 80GB HBM3", "uuid": "GPU-5a2e", "driver": "570.86.15", "memory_bytes": 81559 * 2**20,
        "memory_used_bytes": 73012 * 2**20, "utilisation": 98, "temperature": 63,
    }  # fmt: skip
    assert (second["memory_used_bytes"], second["utilisation"], second["temperature"]) == (0, None, None)


def test_torn_line_is_left_out() -> None:
    assert machine.read_gpus("NVIDIA H100, GPU-1\n\n") == []


def _program(directory: Path, text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    program = directory / "nvidia-smi"
    program.write_text(f"#!/bin/sh\n{text}\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{directory}:/usr/bin:/bin")


def test_driver_is_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _program(tmp_path, f"cat <<END\n{TOLD}END", monkeypatch)
    gpus, message = machine.see_gpus()
    assert ([gpu["name"] for gpu in gpus], message) == (["NVIDIA H100 80GB HBM3", "Tesla T4"], "")


def test_broken_driver_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _program(tmp_path, "echo 'NVIDIA-SMI has failed'; exit 9", monkeypatch)
    assert machine.see_gpus() == ([], "nvidia-smi: NVIDIA-SMI has failed")


def test_hanging_driver_is_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _program(tmp_path, "exec sleep 60", monkeypatch)
    monkeypatch.setattr(machine, "GPU_SECONDS", 0.2)
    gpus, message = machine.see_gpus()
    assert gpus == []
    assert "timed out" in message


def test_this_machine_is_seen() -> None:
    seen = machine.look()
    assert seen.cpu_cores > 0
    assert 0 < seen.memory_available_bytes <= seen.memory_bytes


def test_quota_of_a_container_counts(tmp_path: Path) -> None:
    for name, text in (("cpu.max", "50000 100000"), ("memory.max", str(GIB)), ("memory.current", str(GIB // 4))):
        (tmp_path / name).write_text(text)
    seen = machine.look(tmp_path)
    assert (seen.cpu_cores, seen.memory_bytes) == (0.5, GIB)
    assert seen.memory_available_bytes <= GIB - GIB // 4


# -- writing


class Seen:
    """A backend that shows these replicas."""

    def __init__(self, *found: ReplicaStatus, error: str = "") -> None:
        self.found, self.error = found, error

    def observe(self) -> list[ReplicaStatus]:
        if self.error:
            raise BackendError(self.error)
        return list(self.found)


@pytest.fixture
def here(monkeypatch: pytest.MonkeyPatch) -> Any:
    def show(*found: ReplicaStatus, error: str = "") -> None:
        monkeypatch.setattr(fleet, "backend", lambda _name: Seen(*found, error=error))

    show()
    return show


@pytest.mark.django_db
def test_heartbeat_writes_one_row(here: Any) -> None:
    here(ReplicaStatus("b-0", "b", Phase.RUNNING, "h"), ReplicaStatus("a-0", "a", Phase.STOPPING, "h"),
         ReplicaStatus("c-0", "c", Phase.EXITED, "h"))  # fmt: skip
    write_node()
    first = Node.objects.get()
    write_node()
    node = Node.objects.get()
    assert (node.pk, node.backend, node.replicas) == (first.pk, "process", ["a-0", "b-0"])
    assert node.last_seen_at > first.last_seen_at
    assert node.versions.keys() == {"signalbox", "python"}


@pytest.mark.django_db
def test_backend_that_cannot_be_seen_is_told(here: Any) -> None:
    here(error="the directory is gone")
    write_node()
    assert (Node.objects.get().replicas, Node.objects.get().message) == ([], "the directory is gone")


@pytest.mark.django_db
def test_long_silent_machine_is_forgotten(here: Any) -> None:
    now = timezone.now()
    factories.NodeFactory(name="gone", last_seen_at=now - FORGET_AFTER - timedelta(minutes=1))
    factories.NodeFactory(name="silent", last_seen_at=now - timedelta(days=1))
    write_node()
    assert not Node.objects.filter(name="gone").exists()
    assert Node.objects.filter(name="silent").exists()
