"""A console of its own for a benchmark: PostgreSQL, Valkey and uvicorn, in a directory that goes away with it."""

import contextlib
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from bench.contestants import ROOT, _wait, free_port
from config import embedded
from config.up.instance import SECRETS


@contextlib.contextmanager
def environment() -> Iterator[dict[str, str]]:
    """Both servers running and the database migrated; what is given is the environment of whatever uses them."""
    with contextlib.ExitStack() as stack:
        home = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="sbx-bench-")))
        env = {
            **os.environ, **{name: make() for name, (_file, make) in SECRETS.items()}, "SIGNALBOX_HOME": str(home),
            "SIGNALBOX_PLAIN_HTTP": "1", "SIGNALBOX_LOG_LEVEL": "ERROR", "DJANGO_SETTINGS_MODULE": "config.settings",
            "SIGNALBOX_API_REQUESTS_PER_MINUTE": "1000000000", "SIGNALBOX_API_STRANGERS_PER_MINUTE": "1000000000",
        }  # fmt: skip
        for make in (embedded.postgres, embedded.valkey):
            server = make(home)
            process = server.start(home / f"{server.name}.log")
            stack.callback(_end, process, server.stop_signal)
            server.wait()
            env |= server.environment
        subprocess.run([sys.executable, ROOT / "manage.py", "migrate", "-v0"], check=True, env=env, cwd=ROOT)
        yield env


@contextlib.contextmanager
def console(env: dict[str, str]) -> Iterator[tuple[str, int]]:
    """The console on that environment; gives its URL and its process id."""
    port = free_port()
    argv = [sys.executable, "-m", "uvicorn", "config.asgi:application", "--port", str(port), "--no-access-log"]
    process = subprocess.Popen([*argv, "--log-level", "warning"], cwd=ROOT, env=env)
    try:
        _wait(port, process)
        yield f"http://127.0.0.1:{port}", process.pid
    finally:
        _end(process, 15)


def _end(process: subprocess.Popen[bytes], signal_number: int) -> None:
    process.send_signal(signal_number)
    process.wait(30)
