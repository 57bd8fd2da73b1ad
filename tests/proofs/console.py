"""A console process of its own, as ``make up`` starts it: uvicorn, a database with the real migrations, a Redis."""

import contextlib
import os
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import httpx
import psycopg

from controlplane.credentials import read_credentials
from tests.inference.conftest import drop_database, free_port, in_database

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Console:
    """Where it answers, and its administrator's token."""

    url: str
    token: str
    database_url: str
    """as the console's role reaches it"""
    owner_url: str

    def api(self) -> httpx.Client:
        """A client of the management API that is let in."""
        headers = {"Authorization": f"Bearer {self.token}"}
        return httpx.Client(base_url=f"{self.url}/api/v1", headers=headers, timeout=60)


@contextlib.contextmanager
def console(directory: Path, *, uvicorn: Sequence[str] = (), **environment: str) -> Iterator[Console]:
    """Run one; its log lies in the directory. `environment` is added to the suite's own, `uvicorn` to its arguments."""
    name, port = f"console_{secrets.token_hex(4)}", free_port()
    with psycopg.connect(os.environ["DATABASE_OWNER_URL"], autocommit=True) as server:
        server.execute(f"CREATE DATABASE {name}")
        urls = {
            variable: in_database(os.environ[variable], name) for variable in ("DATABASE_URL", "DATABASE_OWNER_URL")
        }
        own = {"REDIS_URL": f"{os.environ['REDIS_URL']}?db=8", "SIGNALBOX_API_REQUESTS_PER_MINUTE": "1000000"}
        env = {**os.environ, **urls, **own, **environment}
        try:
            token = _bootstrapped(env, directory / "credentials.env")
            with _serving(env, port, directory / "console.log", uvicorn) as url:
                yield Console(url, token, urls["DATABASE_URL"], urls["DATABASE_OWNER_URL"])
        finally:
            drop_database(server, name)


def _bootstrapped(env: dict[str, str], credentials: Path) -> str:
    for command in (["migrate", "-v0"], ["bootstrap_instance", "--credentials", str(credentials)]):
        subprocess.run([sys.executable, ROOT / "manage.py", *command], check=True, env=env, stdout=subprocess.DEVNULL)
    return read_credentials(credentials)["SIGNALBOX_ADMIN_TOKEN"]


@contextlib.contextmanager
def _serving(env: dict[str, str], port: int, log: Path, more: Sequence[str]) -> Iterator[str]:
    argv = [sys.executable, "-m", "uvicorn", "config.asgi:application", "--port", str(port), "--no-access-log", *more]
    with log.open("wb") as out:
        process = subprocess.Popen(argv, cwd=ROOT, env=env, stdout=out, stderr=out)
    try:
        _wait(f"http://127.0.0.1:{port}", process, log)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(30)


def _wait(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    until = time.monotonic() + 60
    while time.monotonic() < until and process.poll() is None:
        with contextlib.suppress(httpx.TransportError):
            if httpx.get(f"{url}/healthz").status_code == 200:
                return
        time.sleep(0.1)
    raise RuntimeError(f"the console did not start: {log.read_text()[-2000:]}")
