"""Ctrl-C leaves no process, the data stays, and the second start is quick."""

import signal
import subprocess
import sys
import time
from pathlib import Path

import httpx
import pytest

from config import env
from tests import figures
from tests.e2e.running import RunningSignalbox, free_port
from tests.waiting import until

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(1200)]


def test_nothing_is_left_and_everything_is_kept(signalbox: RunningSignalbox) -> None:
    before = signalbox.ask().headers["x-request-id"]
    credentials = signalbox.credentials
    signalbox.stop(signal.SIGINT)
    assert [(process.pid, process.cmdline()) for process in signalbox.processes()] == []
    assert signalbox.ports_in_use() == []

    begun = time.monotonic()
    signalbox.start(wait=False)
    while not console_answers(signalbox):
        assert time.monotonic() - begun < 60
        time.sleep(0.1)
    console = time.monotonic() - begun
    signalbox.wait_for_answer(120)
    figures.tell(f"second make up: console after {console:.1f} s, answer after {time.monotonic() - begun:.0f} s")
    assert signalbox.credentials == credentials
    with signalbox.api() as api:
        assert api.get("/audit/events", params={"request_id": before}).json()["results"]


def console_answers(signalbox: RunningSignalbox) -> bool:
    try:
        return httpx.get(f"{signalbox.console_url}/healthz", timeout=2, trust_env=False).status_code == 200
    except httpx.HTTPError:
        return False


def test_second_instance_runs_beside(signalbox: RunningSignalbox, fresh_home: Path) -> None:
    second = RunningSignalbox(fresh_home, ENGINE="none")
    try:
        second.start()
        engine = signalbox.manage("doctor", "--json")
        assert engine.returncode == 0
        assert second.console_url != signalbox.console_url
        assert second.credentials["SIGNALBOX_API_KEY"] != signalbox.credentials["SIGNALBOX_API_KEY"]
        assert signalbox.ask(key=second.credentials["SIGNALBOX_API_KEY"]).status_code == 401
    finally:
        second.stop(signal.SIGTERM)
    assert second.processes() == []
    assert second.ports_in_use() == []
    assert signalbox.ask().status_code == 200


def test_taken_port_ends_with_one_line(signalbox: RunningSignalbox, fresh_home: Path) -> None:
    clash = RunningSignalbox(fresh_home, ENGINE="none")
    clash.console_port = signalbox.console_port
    clash.start(wait=False)
    assert clash.wait_for_end(60) != 0
    lines = [line for line in clash.output.splitlines() if line.startswith("signalbox:")]
    assert len(lines) == 1
    assert f"port {signalbox.console_port}" in lines[0]
    assert clash.processes() == []


def test_external_engine_is_connected(signalbox: RunningSignalbox, fresh_home: Path) -> None:
    second = RunningSignalbox(fresh_home, ENGINE="none")
    port = free_port()
    engine = subprocess.Popen([sys.executable, env.ROOT / "tests" / "workers" / "fake_engine.py", str(port)])
    try:
        second.start()
        done = second.manage("connect", f"http://127.0.0.1:{port}", "--route", "borrowed")
        assert done.returncode == 0, done.stderr
        wait_for_route(second, "borrowed")
    finally:
        second.stop()
        engine.kill()
        engine.wait()


def wait_for_route(instance: RunningSignalbox, model: str) -> None:
    headers = {"Authorization": f"Bearer {instance.credentials['SIGNALBOX_API_KEY']}"}
    body = {"model": model, "messages": [{"role": "user", "content": "hi"}]}
    url = f"{instance.gateway_url}/v1/chat/completions"
    until(lambda: httpx.post(url, json=body, headers=headers, timeout=30).is_success, 30)
