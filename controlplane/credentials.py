"""The file with the credentials of this machine's instance: ``KEY=value`` lines, readable by its owner only."""

import os
from collections.abc import Mapping
from pathlib import Path


def read_credentials(path: Path) -> dict[str, str]:
    """The pairs in the file; empty when there is no file. Raises OSError when it cannot be read."""
    try:
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    except FileNotFoundError:
        return {}
    pairs = (line.strip().partition("=") for line in lines if not line.lstrip().startswith("#"))
    return {key: value for key, equals, value in pairs if equals}


def write_credentials(path: Path, pairs: Mapping[str, str]) -> None:
    """Put the pairs in the file's place in one step, mode 0600 from the first byte on. Raises OSError."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    partial.unlink(missing_ok=True)
    try:
        with os.fdopen(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
            file.writelines(f"{key}={value}\n" for key, value in pairs.items())
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
