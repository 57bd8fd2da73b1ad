"""Reading the environment: typed, with `NAME_FILE` for secrets, and one clear error for a bad value."""

import base64
import binascii
import os
from pathlib import Path

SHORTEST_SECRET = 32
KEY_BYTES = 32
FEWEST_DIFFERENT_BYTES = 16  # 32 random ones have 24 and more; zeros and patterns do not
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


def key(name: str) -> bytes:
    """32 random bytes, written in base64 (``openssl rand -base64 32``). One that can be guessed stops the boot."""
    value = required(name)
    how = f"{name} must be 32 random bytes in base64: make it with `openssl rand -base64 32`"
    try:
        found = base64.b64decode(value, validate=True)
    except (binascii.Error, ValueError):
        raise BadEnvironment(f"{how}; this is not base64.") from None
    if len(found) != KEY_BYTES:
        raise BadEnvironment(f"{how}; this is {len(found)} bytes.")
    if len(set(found)) < FEWEST_DIFFERENT_BYTES or found.isascii():  # a pattern, or a text that somebody typed
        raise BadEnvironment(f"{how}; this one is no random key.")
    return found


def optional_key(name: str) -> bytes | None:
    """As `key`; None when it is not set."""
    return key(name) if text(name) else None


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
