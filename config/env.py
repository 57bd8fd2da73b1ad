"""The environment of this instance; typed reading itself stands on the lowest floor, where the gateway reads it too."""

import os
from datetime import timedelta
from pathlib import Path

from audit.watch import Threshold
from inference.contract.environment import (
    BadEnvironment,
    boolean,
    integer,
    key,
    optional_key,
    required,
    seconds,
    secret,
    text,
)

__all__ = [
    "ROOT",
    "BadEnvironment",
    "boolean",
    "home",
    "instance_file",
    "integer",
    "key",
    "load_instance",
    "optional_key",
    "read_env_file",
    "required",
    "seconds",
    "secret",
    "text",
    "threshold",
    "words",
]

ROOT = Path(__file__).resolve().parent.parent


def words(name: str, default: str = "") -> list[str]:
    """A comma-separated list."""
    return [word for part in text(name, default).split(",") if (word := part.strip())]


def threshold(name: str, default: str) -> Threshold | None:
    """``30/60``: at most 30 in any 60 minutes; None for ``off``. Raises `BadEnvironment`."""
    written = text(name, default) or default
    if written == "off":
        return None
    most, _, minutes = written.partition("/")
    if not (most.isdecimal() and minutes.isdecimal() and int(minutes)):
        raise BadEnvironment(f"{name} is {written!r}: write how many in how many minutes, such as {default}, or off")
    return Threshold(int(most), timedelta(minutes=int(minutes)))


def home() -> Path:
    """Where this instance keeps its data: `SIGNALBOX_HOME`, by default ``var/`` in the project."""
    return Path(os.environ.get("SIGNALBOX_HOME") or ROOT / "var").expanduser().resolve()


def instance_file() -> Path:
    """The environment that `make up` wrote for the processes of this instance (mode 0600)."""
    return home() / "dev" / "instance.env"


def read_env_file(path: Path) -> dict[str, str]:
    """``KEY=value`` lines; blank lines and lines that begin with # are passed over."""
    lines = (line.strip() for line in path.read_text(encoding="utf-8").splitlines())
    pairs = (line.partition("=") for line in lines if line and not line.startswith("#"))
    return {key: value for key, _, value in pairs}


def load_instance() -> None:
    """Fill the environment from `instance_file()` without overriding what is set. Nothing happens without the file."""
    path = instance_file()
    if path.exists():
        for key, value in read_env_file(path).items():
            plain = key.removesuffix("_FILE")
            if plain not in os.environ and f"{plain}_FILE" not in os.environ:
                os.environ[key] = value
