"""A pytest plugin that gives the suite a PostgreSQL and a Valkey of its own before Django reads its settings.

With DATABASE_URL and REDIS_URL set, those servers are used instead. Each worker of pytest-xdist has servers of its own:
tests empty a Redis, stop a PostgreSQL, look at what all of a database holds.
"""

import base64
import os
import secrets
import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest

from config import embedded

OWN = "SIGNALBOX_TESTS_OWN_SERVERS"
"""names the variables that this plugin has set, for the workers that inherit them"""
_started: list[tuple[embedded.Server, subprocess.Popen[bytes]]] = []
_home = Path(tempfile.mkdtemp(prefix="sbx-test-"))


def pytest_addoption(parser: pytest.Parser) -> None:
    """The earliest hook: pytest-django reads the settings in the next one."""
    del parser
    os.environ.setdefault("SECRET_KEY", secrets.token_urlsafe(48))
    for variable in ("SIGNALBOX_MASTER_KEY", "SIGNALBOX_JWT_KEY", "SIGNALBOX_SEAL_KEY"):
        os.environ.setdefault(variable, base64.b64encode(secrets.token_bytes(32)).decode())
    os.environ.setdefault("SIGNALBOX_PLAIN_HTTP", "1")
    os.environ.setdefault("SIGNALBOX_API_STRANGERS_PER_MINUTE", "1000000")  # all tests come from one address
    os.environ.setdefault("SIGNALBOX_GUARD_REFUSALS", "off")  # matrices are turned away thousands of times
    os.environ["SIGNALBOX_HOME"] = str(_home)
    own = os.environ.get(OWN, "").split()
    for variable, make in (("DATABASE_URL", embedded.postgres), ("REDIS_URL", embedded.valkey)):
        if not os.environ.get(variable) or variable in own:
            os.environ[OWN] = f"{os.environ.get(OWN, '')} {variable}"
            server = make(_home)
            _started.append((server, server.start(_home / f"{server.name}.log")))
            server.wait()
            os.environ.update(server.environment)


def pytest_unconfigure() -> None:
    while _started:
        server, process = _started.pop()
        process.send_signal(server.stop_signal)
        process.wait(30)
    shutil.rmtree(_home, ignore_errors=True)
