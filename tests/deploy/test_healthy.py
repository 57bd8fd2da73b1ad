"""The health checks of the containers, each against the real process or its absence."""

import asyncio
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from config import healthy
from tests.deploy.compose_file import ROOT
from tests.inference.conftest import Start, free_port, route


async def test_a_gateway(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    gateway = await start(route("smol"))
    monkeypatch.setenv("SIGNALBOX_GATEWAY_METRICS_PORT", str(gateway.metrics_port))
    await asyncio.to_thread(healthy.gateway)


@pytest.mark.parametrize("role", ["console", "gateway"])
def test_nobody_there(role: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in ("SIGNALBOX_CONSOLE_PORT", "SIGNALBOX_GATEWAY_METRICS_PORT"):
        monkeypatch.setenv(variable, str(free_port()))
    with pytest.raises(healthy.Unwell, match="Connection refused"):
        healthy.ROLES[role]()


@pytest.fixture
def worker(tmp_path: Path, redis_url: str) -> Iterator[dict[str, str]]:
    """A running worker, with the environment of its container."""
    environment = {**os.environ, "REDIS_URL": redis_url, "DJANGO_SETTINGS_MODULE": "config.settings"}
    argv = [sys.executable, "-m", "celery", "-A", "config.celery", "worker", "--concurrency", "1", "--loglevel", "INFO"]
    with (tmp_path / "log").open("wb") as log:
        process = subprocess.Popen(
            [*argv, "--without-mingle", "--without-gossip"], cwd=ROOT, env=environment, stdout=log, stderr=log
        )
    deadline = time.monotonic() + 60
    while "ready." not in (text := (tmp_path / "log").read_text()):
        assert process.poll() is None, text
        assert time.monotonic() < deadline, text
        time.sleep(0.1)
    yield environment
    process.terminate()
    process.wait(60)


def ask(role: str, environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    argv = [sys.executable, "-m", "config.healthy", role]
    return subprocess.run(argv, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)


def test_a_worker(worker: dict[str, str]) -> None:
    done = ask("worker", worker)
    assert done.returncode == 0, done.stderr


def test_no_worker(redis_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REDIS_URL", redis_url)
    monkeypatch.setattr(healthy, "SECONDS", 0.5)
    with pytest.raises(healthy.Unwell, match="did not answer"):
        healthy.worker()


def test_beat_writes_its_schedule_down(tmp_path: Path) -> None:
    with pytest.raises(healthy.Unwell, match="is not there"):
        healthy.beat(tmp_path / "beat")
    (tmp_path / "beat.db").touch()
    now = (tmp_path / "beat.db").stat().st_mtime
    healthy.beat(tmp_path / "beat", lambda: now + healthy.BEAT_SILENCE)
    with pytest.raises(healthy.Unwell, match="601 s ago"):
        healthy.beat(tmp_path / "beat", lambda: now + healthy.BEAT_SILENCE + 1)


def test_usage() -> None:
    done = ask("nobody", dict(os.environ))
    assert done.returncode == 1
    assert "usage: python -m config.healthy console|gateway|worker|beat" in done.stderr
