"""Reading the environment: typed, with `NAME_FILE` for secrets, and one clear error for a bad value."""

import os
from pathlib import Path

SHORTEST_SECRET = 32
KNOWN_SECRETS = frozenset({"changeme", "secret", "django-insecure", "insecure", "password", "signalbox"})


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


def required(name: str) -> str:
    if value := text(name):
        return value
    raise BadEnvironment(f"{name} is not set. `make up` sets it; elsewhere set {name} or {name}_FILE.")


def secret(name: str) -> str:
    """A short or well-known secret stops the boot; it never weakens a check."""
    value = required(name)
    if len(value) < SHORTEST_SECRET or any(word in value.lower() for word in KNOWN_SECRETS):
        raise BadEnvironment(f"{name} is too short or well known: use at least {SHORTEST_SECRET} random characters.")
    return value


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


def boolean(name: str, *, default: bool) -> bool:
    raw = text(name).lower()
    if raw in {"", "1", "true", "yes", "on", "0", "false", "no", "off"}:
        return raw in {"1", "true", "yes", "on"} if raw else default
    raise BadEnvironment(f"{name}={raw!r} is neither true nor false: use 1 or 0.")


def seconds(name: str, default: float) -> float:
    raw = text(name)
    try:
        value = float(raw) if raw else default
    except ValueError:
        raise BadEnvironment(f"{name}={raw!r} is not a number of seconds.") from None
    if not 0 < value <= 86_400:
        raise BadEnvironment(f"{name}={value:g} is out of range: use more than 0, up to 86400 seconds.")
    return value
