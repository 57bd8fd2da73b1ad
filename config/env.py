"""Reading the environment: typed, with `NAME_FILE` for secrets, and one clear error for a bad value. Stdlib only."""

import os
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent

KNOWN_SECRETS = frozenset({"changeme", "secret", "django-insecure", "insecure", "password", "signalbox"})
SHORTEST_SECRET = 32


class BadEnvironment(SystemExit):
    """A setting that cannot be used; the message names it and says what to do."""


def text(name: str, default: str = "") -> str:
    """The value of `name`, or the content of the file that `NAME_FILE` points to."""
    if path := os.environ.get(f"{name}_FILE"):
        try:
            return Path(path).read_text(encoding="utf-8").strip()
        except OSError as exc:
            raise BadEnvironment(f"{name}_FILE={path}: {exc.strerror}. Point it at a readable file.") from exc
    return os.environ.get(name, default)


def integer(name: str, default: int, *, lowest: int = 0, highest: int = 2**31) -> int:
    raw = text(name)
    if not raw:
        return default
    try:
        value = int(raw)
    except ValueError:
        raise BadEnvironment(f"{name}={raw!r} is not a whole number.") from None
    if not lowest <= value <= highest:
        raise BadEnvironment(f"{name}={value} is out of range: use {lowest} to {highest}.")
    return value


def boolean(name: str, default: bool = False) -> bool:
    raw = text(name).lower()
    if raw in {"", "1", "true", "yes", "on", "0", "false", "no", "off"}:
        return raw in {"1", "true", "yes", "on"} if raw else default
    raise BadEnvironment(f"{name}={raw!r} is neither true nor false: use 1 or 0.")


def words(name: str, default: str = "") -> list[str]:
    """A comma-separated list."""
    return [word for part in text(name, default).split(",") if (word := part.strip())]


def required(name: str, why: str) -> str:
    if value := text(name):
        return value
    raise BadEnvironment(f"{name} is not set: {why}. `make up` sets it; elsewhere set {name} or {name}_FILE.")


def secret(name: str, why: str) -> str:
    """A required secret; a short or well-known one stops the boot, it never weakens a check."""
    value = required(name, why)
    if len(value) < SHORTEST_SECRET or any(word in value.lower() for word in KNOWN_SECRETS):
        raise BadEnvironment(f"{name} is too short or well known: use at least {SHORTEST_SECRET} random characters.")
    return value


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
