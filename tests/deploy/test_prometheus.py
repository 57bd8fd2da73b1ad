"""The files for Prometheus and Grafana: drawn from the presets, taken by the real one; our percentiles are its own."""

import http.client
import json
import os
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from django.conf import settings

from controlplane.management.commands.draw_prometheus import FILES
from monitoring import gather, samples
from monitoring.scrape import scrape
from monitoring.targets import Target
from tests.monitoring.engine_text import vllm

DEPLOY = Path(settings.BASE_DIR) / "deploy"
MIX = [0.004, 0.03, 0.03, 0.07, 0.2, 0.3, 0.6, 0.9, 2.0, 4.0, 6.0, 30.0]


def program(name: str) -> str:
    found = shutil.which(name)
    if found is None and not os.environ.get("SIGNALBOX_TESTS_NEVER_SKIP"):
        pytest.skip(f"{name} is not installed: it comes with Debian's package prometheus")
    assert found, f"{name} is not installed"
    return found


@pytest.mark.parametrize("name", FILES)
def test_file_is_drawn_from_the_presets(name: str) -> None:
    assert (DEPLOY / name).read_text() == FILES[name](), "run manage.py draw_prometheus"


def test_promtool_takes_both_files() -> None:
    checked = subprocess.run(
        [program("promtool"), "check", "config", str(DEPLOY / "prometheus" / "prometheus.yml")],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert checked.returncode == 0, checked.stdout + checked.stderr
    assert "WARNING" not in checked.stdout + checked.stderr


class _Engine(BaseHTTPRequestHandler):
    """Serves ever more requests of one mix, so that a percentile does not hang on when it is asked."""

    def do_GET(self) -> None:
        rounds = int((time.time() - self.server.began) * 10) + 1  # type: ignore[attr-defined]
        body = vllm(first_tokens=MIX * rounds).encode()
        self.send_response(200)
        self.send_header("Content-Type", "text/plain; version=0.0.4")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class names it so
        """Not here."""


@pytest.fixture
def engine() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Engine)
    server.began = time.time()  # type: ignore[attr-defined]
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    server.server_close()


def free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])


@pytest.fixture
def prometheus(tmp_path: Path, engine: str) -> Iterator[int]:
    """The real one, with our rules, scraping the engine each second."""
    config = {
        "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
        "rule_files": [str(DEPLOY / "prometheus" / "rules.yml")],
        "scrape_configs": [{"job_name": "e", "static_configs": [{"targets": [engine], "labels": {"deployment": "d"}}]}],
    }
    (tmp_path / "prometheus.yml").write_text(json.dumps(config))
    port = free_port()
    with (tmp_path / "log").open("w") as log:
        running = subprocess.Popen(
            [program("prometheus"), f"--config.file={tmp_path}/prometheus.yml", f"--storage.tsdb.path={tmp_path}/tsdb",
             f"--web.listen-address=127.0.0.1:{port}"],
            stdout=log, stderr=log,
        )  # fmt: skip
    yield port
    running.terminate()
    running.wait(20)


def ask(port: int, path: str) -> Any:
    """The data of an answer; None while it is not up."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("GET", path)
        return json.loads(connection.getresponse().read()).get("data")
    except (OSError, ValueError):
        return None
    finally:
        connection.close()


def quantile_of_prometheus(port: int, share: float) -> float | None:
    query = f"histogram_quantile({share}, sum by (le) (rate(vllm:time_to_first_token_seconds_bucket[5m])))"
    data = ask(port, f"/api/v1/query?query={quote(query)}")
    result = data and data["result"]
    value = float(result[0]["value"][1]) if result else None
    return value if value == value else None


@pytest.mark.django_db
def test_real_prometheus_loads_the_rules_and_agrees_on_percentiles(prometheus: int, engine: str) -> None:
    target = Target("engine", "d-0", f"http://{engine}/metrics", "d", "d-0")
    until = time.monotonic() + 60
    began = datetime.now(UTC)
    samples.write(scrape([target]), began)
    while quantile_of_prometheus(prometheus, 0.99) is None and time.monotonic() < until:
        time.sleep(0.3)
    samples.write(scrape([target]), max(datetime.now(UTC), began + timedelta(seconds=2)))
    now = datetime.now(UTC) + timedelta(seconds=2)
    rows = [row for row in gather.rows(["engine_ttft"], 300, now) if row.deployment == "d"]
    for share in (0.5, 0.9, 0.99):
        theirs = quantile_of_prometheus(prometheus, share)
        assert theirs is not None
        assert gather.percentile(share, rows) == pytest.approx(theirs, rel=0.01)
    groups = ask(prometheus, "/api/v1/rules")["groups"]
    assert len(groups[0]["rules"]) == FILES["prometheus/rules.yml"]().count("- alert:")
    assert {rule["health"] for rule in groups[0]["rules"]} <= {"ok", "unknown"}
