"""What this machine is made of and how much of it is free, within what its processes may use of it."""

import csv
import os
import platform
import shutil
import subprocess
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

from controlplane.models.nodes import Gpu

CGROUP = Path("/sys/fs/cgroup")
GPU_SECONDS = 5.0
MIB = 1024 * 1024
_ASKED = (
    (Gpu.NAME, "name"), (Gpu.UUID, "uuid"), (Gpu.DRIVER, "driver_version"), (Gpu.MEMORY_BYTES, "memory.total"),
    (Gpu.MEMORY_USED_BYTES, "memory.used"), (Gpu.UTILISATION, "utilization.gpu"), (Gpu.TEMPERATURE, "temperature.gpu"),
)  # fmt: skip
_UNITS = {Gpu.MEMORY_BYTES: MIB, Gpu.MEMORY_USED_BYTES: MIB, Gpu.UTILISATION: 1, Gpu.TEMPERATURE: 1}


@dataclass(frozen=True)
class Machine:
    """What was seen at one moment; sizes in bytes."""

    system: str
    cpu_cores: float
    load: float | None
    memory_bytes: int
    memory_available_bytes: int
    gpus: list[dict[str, Any]] = field(default_factory=list)
    message: str = ""


def look(cgroup: Path = CGROUP) -> Machine:
    """This machine now."""
    memory, (gpus, message) = psutil.virtual_memory(), see_gpus()
    total, available = within(
        memory.total, memory.available, _number(cgroup / "memory.max"), _number(cgroup / "memory.current")
    )
    return Machine(
        system=f"{platform.system()} {platform.release()} {platform.machine()}",
        cpu_cores=cores(len(os.sched_getaffinity(0)), _text(cgroup / "cpu.max")),
        load=round(os.getloadavg()[0], 2), memory_bytes=total, memory_available_bytes=available,
        gpus=gpus, message=message,
    )  # fmt: skip


def cores(allowed: int, cpu_max: str) -> float:
    """`allowed` by affinity, or fewer by the quota in a cgroup's ``cpu.max``: ``max 100000`` or ``150000 100000``."""
    quota, _, period = cpu_max.partition(" ")
    if not quota.isdigit() or not period.strip().isdigit() or not int(period):
        return float(allowed)
    return min(float(allowed), round(int(quota) / int(period), 2))


def within(total: int, available: int, most: int | None, used: int | None) -> tuple[int, int]:
    """Memory in all and available, as far as a cgroup lets its processes use it; None: it says nothing."""
    if most is None or most >= total:
        return total, available
    return most, min(available, max(most - (used or 0), 0))


def see_gpus() -> tuple[list[dict[str, Any]], str]:
    """NVIDIA's GPUs, and why they cannot be seen; a machine without the driver has none."""
    if (program := shutil.which("nvidia-smi")) is None:
        return [], ""
    argv = [program, f"--query-gpu={','.join(name for _, name in _ASKED)}", "--format=csv,noheader,nounits"]
    try:
        done = subprocess.run(argv, capture_output=True, text=True, timeout=GPU_SECONDS, check=False)
    except (OSError, subprocess.TimeoutExpired) as exc:
        return [], f"nvidia-smi: {exc}"
    if done.returncode:
        return [], f"nvidia-smi: {(done.stdout + done.stderr).strip()[:300]}"
    return read_gpus(done.stdout), ""


def read_gpus(told: str) -> list[dict[str, Any]]:
    """What nvidia-smi printed; a line that is cut off is left out."""
    rows = (row for row in csv.reader(told.splitlines(), skipinitialspace=True) if len(row) == len(_ASKED))
    return [{what.value: _value(what, text) for (what, _), text in zip(_ASKED, row, strict=True)} for row in rows]


def _value(what: Gpu, text: str) -> str | int | None:
    text = text.strip()
    if what not in _UNITS:
        return text
    return int(text) * _UNITS[what] if text.isdigit() else None  # "[N/A]", "[Not Supported]"


def _text(path: Path) -> str:
    try:
        return path.read_text("ascii").strip()
    except (OSError, ValueError):
        return ""


def _number(path: Path) -> int | None:
    text = _text(path)
    return int(text) if text.isdigit() else None
