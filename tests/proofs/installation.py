"""A whole Signalbox with its servers, as ``make up`` runs it but for supervisord: every byte that it writes lies below
one directory.
"""

import contextlib
import os
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote

import httpx
import psycopg
import redis

from config import embedded
from config.up.instance import Instance
from config.up.programs import of_signalbox
from tests.inference.conftest import free_port

ROOT = Path(__file__).parents[2]
NEVER_INHERITED = ("SIGNALBOX_", "DATABASE_", "REDIS_", "SECRET_KEY", "DJANGO_", "PYTEST_")


@dataclass
class Installation:
    """`home` holds what is written; `private` beside it the credentials, which are meant to be secret."""

    home: Path
    private: Path
    passwords: dict[str, str]
    """of the three URLs of servers, by the name of their variable"""
    secrets: dict[str, str]
    """further environment"""
    processes: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.instance = Instance(self.home, "127.0.0.1", free_port(), free_port(), free_port(), 1, with_engine=False)
        for directory in (self.instance.logs, self.instance.run, self.private):
            directory.mkdir(parents=True)
        self._redis_port = free_port()
        self.postgres = embedded.postgres(self.home)
        self.valkey = embedded.valkey(self.home)

    @property
    def credentials(self) -> Path:
        return self.private / "credentials.env"

    @property
    def environment(self) -> dict[str, str]:
        inherited = {name: value for name, value in os.environ.items() if not name.startswith(NEVER_INHERITED)}
        servers = {
            name: f"{url}&password={quote(self.passwords[name])}" for name, url in self.postgres.environment.items()
        }
        return inherited | servers | self.secrets | {
            "REDIS_URL": f"redis://:{quote(self.passwords['REDIS_URL'])}@127.0.0.1:{self._redis_port}/0",
            "SIGNALBOX_HOME": str(self.home), "SIGNALBOX_PLAIN_HTTP": "1", "PYTHONUNBUFFERED": "1",
            "SIGNALBOX_CONSOLE_PORT": str(self.instance.console_port), "SIGNALBOX_URL": self.instance.console_url,
            "SIGNALBOX_GATEWAY_PORT": str(self.instance.gateway_port),
            "SIGNALBOX_GATEWAY_URL": self.instance.gateway_url,
            "SIGNALBOX_GATEWAY_METRICS_PORT": str(self.instance.metrics_port), "SIGNALBOX_GATEWAY_WORKERS": "1",
            "SIGNALBOX_GATEWAY_DRAIN_SECONDS": "2", "DJANGO_SETTINGS_MODULE": "config.settings",
        }  # fmt: skip

    def redis(self) -> "redis.Redis":
        return redis.Redis.from_url(self.environment["REDIS_URL"])

    def start_servers(self) -> None:
        argv = (
            *self.valkey.argv, "--port", str(self._redis_port), "--bind", "127.0.0.1",
            "--requirepass", self.passwords["REDIS_URL"],
        )  # fmt: skip
        self._spawn("valkey", argv)
        self.processes["postgresql"] = self.postgres.start(self.instance.logs / "postgresql.log")
        self.postgres.wait()

    def stop(self, name: str, number: signal.Signals = signal.SIGTERM) -> None:
        process = self.processes.pop(name)
        process.send_signal(number)
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(10)

    def stop_all(self) -> None:
        """Signalbox's own first; PostgreSQL last, with everything on the disk."""
        for name in [name for name in self.processes if name not in {"valkey", "postgresql"}]:
            self.stop(name)
        for name in list(self.processes):
            self.stop(name, self.postgres.stop_signal if name == "postgresql" else signal.SIGTERM)

    def start(self) -> None:
        """Signalbox's processes; returns once console and gateway answer."""
        for program in of_signalbox(self.instance):
            self._spawn(program.name, program.argv)
        for url in (f"{self.instance.console_url}/readyz", f"{self.instance.gateway_url}/healthz"):
            self._wait(url)

    def keep_running(self) -> None:
        """What ended by itself is started again, as supervisord does: Celery's worker is known to end when its broker
        goes away a second time while it comes back.
        """
        for program in of_signalbox(self.instance):
            if program.name in self.processes and self.processes[program.name].poll() is not None:
                self._spawn(program.name, program.argv)

    def _spawn(self, name: str, argv: tuple[str, ...]) -> None:
        with (self.instance.logs / f"{name}.log").open("ab") as out:
            self.processes[name] = subprocess.Popen(
                argv, cwd=ROOT, env=self.environment, stdin=subprocess.DEVNULL, stdout=out, stderr=out,
                start_new_session=True,
            )  # fmt: skip

    def _wait(self, url: str) -> None:
        until = time.monotonic() + 180
        while time.monotonic() < until:
            with contextlib.suppress(httpx.TransportError):
                if httpx.get(url, trust_env=False).status_code == 200:
                    return
            time.sleep(0.1)
        raise RuntimeError(f"{url} does not answer: {self.logs()[-3000:]}")

    def manage(self, *arguments: str) -> "subprocess.CompletedProcess[str]":
        """A command as an administrator types it."""
        return subprocess.run(
            [sys.executable, ROOT / "manage.py", *arguments], cwd=ROOT, env=self.environment, capture_output=True,
            text=True, check=False,
        )  # fmt: skip

    def prepare(self) -> None:
        """Migrate and bootstrap, in one process: each costs seconds to start."""
        code = (
            "import django, sys; django.setup(); from django.core.management import call_command as call;"
            "call('migrate', verbosity=0); call('bootstrap_instance', '--credentials', sys.argv[1])"
        )
        argv = [sys.executable, "-c", code, str(self.credentials)]
        subprocess.run(argv, cwd=ROOT, env=self.environment, check=True, stdout=subprocess.DEVNULL)

    def logs(self) -> str:
        return "\n".join(path.read_text(errors="replace") for path in sorted(self.instance.logs.iterdir()))

    def database_dump(self) -> bytes:
        """All of the database as its superuser sees it; columns of bytes in hexadecimal."""
        pg_dump = Path(self.postgres.argv[0]).with_name("pg_dump")
        url = psycopg.conninfo.make_conninfo(self.postgres.url, user=embedded.SUPERUSER)
        return subprocess.run([pg_dump, url], capture_output=True, check=True).stdout

    def redis_dump(self) -> bytes:
        """Names and values of all that is in it, and each value as `DUMP` writes it."""
        with self.redis() as client:
            return b"\n".join(part for key in client.scan_iter() for part in (key, *_values(client, key)))


def _values(client: "redis.Redis", key: bytes) -> Iterator[bytes]:
    yield client.dump(key) or b""
    match client.type(key):
        case b"string":
            yield client.get(key) or b""
        case b"hash":
            yield repr(client.hgetall(key)).encode()
        case b"list":
            yield b"\n".join(client.lrange(key, 0, -1))
        case b"set":
            yield b"\n".join(client.smembers(key))
        case b"zset":
            yield b"\n".join(client.zrange(key, 0, -1))
        case b"stream":
            yield repr(client.xrange(key)).encode()


@contextlib.contextmanager
def installation(passwords: dict[str, str], environment: dict[str, str]) -> Iterator[Installation]:
    """One that is migrated, bootstrapped and running. Its directories are gone afterwards."""
    # Not in pytest's directory: each run of pytest takes away the right of PostgreSQL's own user to pass it.
    place = Path(tempfile.mkdtemp(prefix=f"sbx-s5-{secrets.token_hex(2)}-"))
    made = Installation(place / "home", place / "private", passwords, environment)
    try:
        made.start_servers()
        made.prepare()
        made.start()
        yield made
    finally:
        made.stop_all()
        shutil.rmtree(place, ignore_errors=True)
