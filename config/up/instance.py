"""This instance: its directory, its secrets, its ports, and the environment that all its processes share."""

import base64
import fcntl
import os
import secrets
import socket
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from config import env
from config.up.progress import UpError

MARKER = ".signalbox"
DEFAULT_METRICS_PORT = 9108


@dataclass(frozen=True)
class Instance:
    """What is fixed for the life of one `make up`."""

    home: Path
    bind: str
    console_port: int
    gateway_port: int
    metrics_port: int
    gateway_workers: int
    with_engine: bool

    @property
    def logs(self) -> Path:
        return self.home / "logs"

    @property
    def run(self) -> Path:
        return self.home / "run"

    @property
    def credentials(self) -> Path:
        return self.home / "dev" / "credentials.env"

    @property
    def engines(self) -> Path:
        return Path(env.text("SIGNALBOX_ENGINES_DIR") or self.home / "engines")

    @property
    def models(self) -> Path:
        return Path(env.text("SIGNALBOX_MODELS_DIR") or self.home / "models")

    @property
    def replicas(self) -> Path:
        return self.home / "replicas"

    @property
    def host(self) -> str:
        """The address to show: one that works on this machine."""
        return "127.0.0.1" if self.bind in {"", "0.0.0.0", "::"} else self.bind  # nosec B104  # noqa: S104 - compared, not bound

    @property
    def console_url(self) -> str:
        return env.text("SIGNALBOX_URL") or f"http://{self.host}:{self.console_port}"

    @property
    def gateway_url(self) -> str:
        return env.text("SIGNALBOX_GATEWAY_URL") or f"http://{self.host}:{self.gateway_port}"


def read_environment() -> Instance:
    """The instance that the environment asks for. Raises `BadEnvironment` for a value that cannot be used."""
    engine = env.text("ENGINE", "default").lower()
    if engine not in {"default", "none"}:
        raise UpError(f"ENGINE={engine!r} is unknown: leave it out for the default engine, or use ENGINE=none.")

    def port(name: str, default: int) -> int:
        return env.integer(name, default, lowest=1, highest=65535)

    bind = env.text("SIGNALBOX_BIND", "127.0.0.1")
    return Instance(
        home=env.home(),
        bind=bind,
        console_port=port("SIGNALBOX_CONSOLE_PORT", 8000),
        gateway_port=port("SIGNALBOX_GATEWAY_PORT", 8080),
        metrics_port=port("SIGNALBOX_GATEWAY_METRICS_PORT", 0) or _metrics_port(bind),
        gateway_workers=env.integer("SIGNALBOX_GATEWAY_WORKERS", 2, lowest=1, highest=64),
        with_engine=engine != "none",
    )  # fmt: skip


def _metrics_port(bind: str) -> int:
    """The default one, or any free one when a second instance runs on this machine."""
    for candidate in (DEFAULT_METRICS_PORT, 0):
        with socket.socket() as probe:
            try:
                probe.bind((bind, candidate))
            except OSError:
                continue
            return int(probe.getsockname()[1])
    return DEFAULT_METRICS_PORT


def claim(instance: Instance) -> int:
    """Make or recognise the instance's directory and lock it; answers the lock's file descriptor, to be kept open.

    Raises `UpError` for a directory that holds something else, cannot be written, or is in use.
    """
    home = instance.home
    try:
        if home.exists() and not (home / MARKER).exists() and any(home.iterdir()):
            raise UpError(
                f"{home} holds something that is not Signalbox's: move it away, or set SIGNALBOX_HOME elsewhere."
            )
        home.mkdir(parents=True, exist_ok=True)
        (home / MARKER).touch()
        if (owner := home.stat().st_uid) != os.geteuid():
            raise UpError(
                f"{home} belongs to user id {owner}: run as that user, or set SIGNALBOX_HOME to another directory."
            )
        for directory in (instance.logs, instance.run, home / "dev", instance.models, instance.engines):
            directory.mkdir(parents=True, exist_ok=True)
        (home / "dev").chmod(0o700)
        lock = os.open(instance.run / "up.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except (OSError, NotADirectoryError) as exc:
        raise UpError(
            f"{home} cannot be used: {exc.strerror or exc}. Mend its rights, or set SIGNALBOX_HOME elsewhere."
        ) from exc
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(lock)
        raise UpError(
            f"another `make up` runs on {home}: stop it, or give this one its own SIGNALBOX_HOME and ports."
        ) from None
    return lock


def settle_environment(instance: Instance) -> None:
    """Put into this process's environment what all processes of the instance need; what the user set stays."""
    values = {
        "SIGNALBOX_HOME": str(instance.home),
        "SIGNALBOX_BIND": instance.bind,
        "SIGNALBOX_CONSOLE_PORT": str(instance.console_port),
        "SIGNALBOX_GATEWAY_PORT": str(instance.gateway_port),
        "SIGNALBOX_GATEWAY_METRICS_PORT": str(instance.metrics_port),
        "SIGNALBOX_GATEWAY_WORKERS": str(instance.gateway_workers),
        "SIGNALBOX_URL": instance.console_url,
        "SIGNALBOX_GATEWAY_URL": instance.gateway_url,
        "SIGNALBOX_PLAIN_HTTP": "1",
        "SIGNALBOX_GATEWAY_DRAIN_SECONDS": "10",
        "DJANGO_SETTINGS_MODULE": "config.settings",
        "PYTHONUNBUFFERED": "1",
    }
    values |= _secret_files(instance.home / "dev")
    for name, value in values.items():
        os.environ.setdefault(name, value)


# Secrets of the instance, each in a file of its own, with what makes one.
SECRETS: dict[str, tuple[str, Callable[[], str]]] = {
    "SECRET_KEY": ("secret_key", lambda: secrets.token_urlsafe(48)),
    "SIGNALBOX_MASTER_KEY": ("master_key", lambda: base64.b64encode(secrets.token_bytes(32)).decode()),
    "SIGNALBOX_JWT_KEY": ("jwt_key", lambda: base64.b64encode(secrets.token_bytes(32)).decode()),
    "SIGNALBOX_SEAL_KEY": ("seal_key", lambda: base64.b64encode(secrets.token_bytes(32)).decode()),
}
# Put there by hand while a key is replaced (docs/configuration.md), and used as long as they are there.
PREVIOUS = {
    "SIGNALBOX_MASTER_KEY_PREVIOUS": "master_key_previous",
    "SIGNALBOX_JWT_KEY_PREVIOUS": "jwt_key_previous",
}


def _secret_files(directory: Path) -> dict[str, str]:
    """``NAME_FILE`` for each secret that the user did not give; a missing one is made."""
    files = {}
    for name, (file, make) in SECRETS.items():
        if not env.text(name):
            path = directory / file
            if not path.exists():
                write_private(path, make() + "\n")
            files[f"{name}_FILE"] = str(path)
    previous = {name: directory / file for name, file in PREVIOUS.items() if not env.text(name)}
    return files | {f"{name}_FILE": str(path) for name, path in previous.items() if path.exists()}


KEPT = (
    "DATABASE_URL", "DATABASE_OWNER_URL", "REDIS_URL", *(f"{name}_FILE" for name in (*SECRETS, *PREVIOUS)),
    "SIGNALBOX_HOME", "SIGNALBOX_BIND", "SIGNALBOX_CONSOLE_PORT",
    "SIGNALBOX_GATEWAY_PORT", "SIGNALBOX_GATEWAY_METRICS_PORT", "SIGNALBOX_URL", "SIGNALBOX_GATEWAY_URL",
    "SIGNALBOX_PLAIN_HTTP", "SIGNALBOX_ENGINES_DIR", "SIGNALBOX_MODELS_DIR",
)  # fmt: skip


def write_instance_file(instance: Instance) -> None:
    """Keep the environment for ``manage.py`` in another terminal (see `config.env.load_instance`)."""
    lines = [f"{name}={os.environ[name]}" for name in KEPT if name in os.environ]
    write_private(instance.home / "dev" / "instance.env", "\n".join(lines) + "\n")


def write_private(path: Path, text: str) -> None:
    """Write whole or not at all, readable by the owner only."""
    partial = path.with_name(path.name + ".new")
    with os.fdopen(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as file:
        file.write(text)
    partial.replace(path)
