"""The engine environments: one virtual environment a flavour, apart from ours, built once and checked by its mark.

The mark is written last and holds the hash of all that went in. Without it, or with another one, the environment is
thrown away and built again, so neither a `kill -9` nor a full disk leaves anything that the next run trips over.
Needs neither Django nor settings: the launcher calls it before there are any.
"""

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from workers.engines import uv
from workers.engines.heartbeat import heartbeat

Progress = Callable[[str], None]

LOCKS = Path(__file__).parent
TORCH = "2.13.0"
GIB = 1024**3
DISK_NEEDED = 6 * GIB  # 2.1 GB installed, and as much again twice where the cache of packages lies elsewhere
TRIAL = "import torch, vllm, transformers"
TRIAL_SECONDS = 300
MARK = "signalbox-environment"


class EngineError(Exception):
    """An engine environment or model cannot be made or used. One line: what happened and what to do."""


def python_of(flavour: str, engines_dir: Path) -> Path:
    """Where the environment's interpreter is, or will be."""
    return engines_dir / flavour / "bin" / "python"


def is_ready(flavour: str, engines_dir: Path) -> bool:
    """True when the environment is complete and made from the lock that is here now."""
    try:
        mark = (engines_dir / flavour / MARK).read_text()
    except OSError:
        return False
    return mark == _digest(flavour) and os.access(python_of(flavour, engines_dir), os.X_OK)


def is_usable(flavour: str, engines_dir: Path) -> bool:
    """True when an engine can be started from it: complete, or made by somebody else where we build none."""
    if lock_file(flavour).exists():
        return is_ready(flavour, engines_dir)
    return os.access(python_of(flavour, engines_dir), os.X_OK)


def ensure_environment(flavour: str, engines_dir: Path, progress: Progress) -> Path:
    """The Python of the flavour's environment, which is built or rebuilt if need be.

    Raises `EngineError`. Two callers at once build once: the second waits.
    """
    if not is_usable(flavour, engines_dir):
        if not lock_file(flavour).exists():
            raise EngineError(
                f"Signalbox does not build the environment {flavour}: make it in {engines_dir / flavour}."
            )
        try:
            engines_dir.mkdir(parents=True, exist_ok=True)
            with _alone(engines_dir / f".{flavour}.lock", progress):
                if not is_ready(flavour, engines_dir):
                    _build(flavour, engines_dir / flavour, progress)
        except OSError as exc:
            raise EngineError(
                f"the engine environment cannot be written to {engines_dir}: {exc.strerror or exc}. "
                "Free space there or mend its rights, then try again."
            ) from exc
    return python_of(flavour, engines_dir)


def lock_file(flavour: str) -> Path:
    return LOCKS / f"{flavour}.lock"


def _digest(flavour: str) -> str:
    """What the environment is made of: the lock, torch and this Python."""
    try:
        lock = lock_file(flavour).read_bytes()
    except OSError:
        return ""
    return hashlib.sha256(lock + f"torch {TORCH} python {sys.version}".encode()).hexdigest()


@contextmanager
def _alone(path: Path, progress: Progress) -> Iterator[None]:
    """Hold the lock file; the kernel lets go of it when we die."""
    with path.open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            progress("waiting for another process that builds the same environment")
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _build(flavour: str, target: Path, progress: Progress) -> None:
    check_disk(target.parent, DISK_NEEDED, "the engine environment")
    shutil.rmtree(target, ignore_errors=True)
    with heartbeat(progress, f"installing torch {TORCH} (CPU build)", target.parent):
        _uv("venv", "--quiet", "--no-project", "--python", sys.executable, str(target))
        _uv("pip", "install", "--quiet", "--python", str(target), "--no-deps", *torch_arguments())
    with heartbeat(progress, "installing vLLM and what it needs, hash-checked", target.parent):
        lock = str(lock_file(flavour))
        _uv("pip", "install", "--quiet", "--python", str(target), "--no-deps", "--require-hashes", "-r", lock)
    with heartbeat(progress, "trying the environment", target.parent):
        _try(target / "bin" / "python")
    mark = target / MARK
    mark.with_suffix(".new").write_text(_digest(flavour))
    mark.with_suffix(".new").rename(mark)


def torch_arguments() -> list[str]:
    """A wheel from pip's find-links where there is one for us, else PyTorch's own CPU builds."""
    tag = f"cp{sys.version_info[0]}{sys.version_info[1]}"
    places = uv.pip_settings().get("find-links", "").split()
    if any(Path(place).is_dir() and any(Path(place).glob(f"torch-{TORCH}+cpu-{tag}-*.whl")) for place in places):
        return [f"torch=={TORCH}+cpu"]
    return [f"torch=={TORCH}", "--torch-backend", "cpu"]


def _uv(*arguments: str) -> None:
    """Run uv with pip's package sources. Raises `EngineError` with its last words and what to do about them."""
    env = os.environ | uv.pip_settings_for_uv()
    env.pop("VIRTUAL_ENV", None)
    done = subprocess.run([_uv_program(), *arguments], capture_output=True, text=True, env=env, check=False)
    if done.returncode:
        raise EngineError(
            f"the engine environment could not be built: {_last_words(done.stderr)} {_advice(done.stderr)}"
        )


def _uv_program() -> str:
    beside = Path(sys.executable).with_name("uv")
    if beside.exists():
        return str(beside)
    if found := shutil.which("uv"):
        return found
    raise EngineError("the installer uv is missing from this Python's environment: run `make up`, which installs it.")


def _last_words(output: str) -> str:
    """The causes in one line: uv draws them as a tree."""
    lines = [line.strip(" ×╰├─▶│") for line in output.splitlines() if line.strip()]
    return " ".join(line for line in lines if not line.startswith("hint:"))[:400] or "uv said nothing."


def _advice(output: str) -> str:
    """What to do about the commonest causes."""
    low = output.lower()
    if "no space left" in low:
        return "Free some disk space, then try again."
    if "hash mismatch" in low:
        return "The package index serves another file than the locked one: use the official index or a faithful mirror."
    if any(
        sign in low for sign in ("failed to fetch", "error sending request", "dns", "timed out", "connect", "offline")
    ):
        return "Check the network, or point PIP_INDEX_URL at a mirror that you can reach, then try again."
    return "Check the package index that pip is set up with, then try again."


def _try(python: Path) -> None:
    """Import what matters, so that a wheel that does not fit this machine shows now and not as an engine that dies."""
    argv = [str(python), "-I", "-c", TRIAL]
    try:
        done = subprocess.run(argv, capture_output=True, text=True, timeout=TRIAL_SECONDS, check=False)
    except subprocess.TimeoutExpired:
        raise EngineError(f"the engine environment did not load within {TRIAL_SECONDS} s: try again.") from None
    if done.returncode:
        words = (done.stderr.strip().splitlines() or [f"exit status {done.returncode}"])[-1]
        raise EngineError(f"the engine environment was built but does not work here: {words[:300]}")


def check_disk(directory: Path, needed: int, what: str) -> None:
    """Raise `EngineError` unless that many bytes are free."""
    free = shutil.disk_usage(directory).free
    if free < needed:
        raise EngineError(
            f"no disk space for {what}: {directory} has {free / GIB:.1f} GiB free and {needed / GIB:.1f} are needed. "
            "Free some, or set SIGNALBOX_HOME to a larger disk."
        )
