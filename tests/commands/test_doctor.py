"""`doctor` names what is ill and how to mend it, and never stops halfway."""

import json
import resource
import threading
from collections.abc import Iterator
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from unittest.mock import patch

import pytest
from django.db import OperationalError, connection, connections
from django.test import override_settings
from django.utils import timezone
from redis import Redis

from audit.models import Event
from controlplane import publish
from controlplane.doctor import data, machine, processes
from controlplane.doctor import round as doctors_round
from controlplane.doctor.findings import Finding, Level, ok
from controlplane.models import BudgetAccount, DeploymentStatus
from controlplane.publish import client_of
from tests.commands.run import run
from tests.factories import DeploymentFactory, LimitFactory, ProjectFactory, ReplicaFactory, TargetFactory

CLOSED = "http://127.0.0.1:9"
NO_REDIS = client_of("redis://127.0.0.1:9")


@pytest.fixture
def web() -> Iterator[Any]:
    """A server whose answers' status the test sets: ``web.status[path] = 503``."""
    status = {"/healthz": 200, "/readyz": 200}

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status.get(self.path, 404))
            self.send_header("Content-Length", "8")
            self.end_headers()
            self.wfile.write(b"because!")

        def log_message(self, *_: object) -> None:
            pass

    server: Any = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.status, server.url = status, f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def level(finding: Finding) -> str:
    assert finding.level == Level.OK or finding.todo, finding
    return finding.level.value


class Cursor:
    def __enter__(self) -> None:
        raise OperationalError("connection refused\n\tIs the server running?")

    def __exit__(self, *_: object) -> None:
        pass


@pytest.mark.django_db
@pytest.mark.parametrize(
    "check", [data.postgresql, data.role, data.migrations, data.register, data.partitions, machine.clock]
)
def test_healthy_database(check: Any) -> None:
    assert level(check()) == "ok"


@pytest.mark.django_db
@pytest.mark.parametrize(
    "check",
    [data.postgresql, data.role, data.migrations, data.register, data.partitions, machine.clock,
     processes.schedule, processes.replicas],
)  # fmt: skip
def test_database_away(check: Any) -> None:
    with patch.object(connection, "cursor", return_value=Cursor(), side_effect=OperationalError("refused\nreally")):
        found = check()
    finding = found[0] if isinstance(found, list) else found
    assert level(finding) == "fail"
    assert "\n" not in str(finding)


@pytest.mark.django_db
def test_attempt_on_the_register_is_undone() -> None:
    data.register()
    assert not Event.objects.exists()


@pytest.mark.django_db
def test_missing_partition_is_named() -> None:
    with patch("controlplane.doctor.data.month_after", return_value=timezone.now().date().replace(year=2999)):
        finding = data.partitions()
    assert level(finding) == "warn"
    assert "audit_event_2999" in finding.what


def test_redis_answers() -> None:
    assert level(data.redis()) == "ok"


@pytest.mark.parametrize("check", [data.redis, data.tables])
def test_redis_away(check: Any) -> None:
    with patch("controlplane.publish.redis_client", return_value=NO_REDIS):
        assert level(check()) == "fail"


@pytest.mark.django_db
def test_tables_published_or_not(redis: Redis) -> None:
    assert level(data.tables()) == "fail"
    publish.publish_all()
    assert level(data.tables()) == "ok"


def test_process_is_ready(web: Any) -> None:
    with override_settings(GATEWAY_URL=web.url, CONSOLE_URL=web.url):
        assert [level(processes.gateway()), level(processes.console())] == ["ok", "ok"]


def test_process_says_why_it_is_not_ready(web: Any) -> None:
    web.status["/readyz"] = 503
    with override_settings(GATEWAY_URL=web.url):
        finding = processes.gateway()
    assert level(finding) == "fail"
    assert "because!" in finding.what


def test_something_else_listens(web: Any) -> None:
    web.status["/healthz"] = 404
    with override_settings(GATEWAY_URL=web.url):
        assert "404" in processes.gateway().what


def test_process_is_down() -> None:
    with override_settings(CONSOLE_URL=CLOSED):
        finding = processes.console()
    assert level(finding) == "fail"
    assert CLOSED in finding.what


def test_no_worker_answers() -> None:
    with patch("controlplane.doctor.processes.SECONDS", 0.2):
        assert level(processes.worker()) == "fail"


@override_settings(CELERY_BROKER_URL="redis+socket:///nowhere.sock")
def test_broker_away() -> None:
    with patch("controlplane.doctor.processes.SECONDS", 0.2):
        finding = processes.worker()
    assert level(finding) == "fail"
    assert "\n" not in str(finding)


@pytest.mark.django_db
@pytest.mark.parametrize(("age", "expected"), [(1, "ok"), (120, "fail"), (None, "fail")])
def test_schedule_by_the_last_look(age: int | None, expected: str) -> None:
    DeploymentFactory()
    DeploymentStatus.objects.update(observed_at=None if age is None else timezone.now() - timedelta(seconds=age))
    assert level(processes.schedule()) == expected


@pytest.mark.django_db
def test_schedule_without_deployments() -> None:
    assert level(processes.schedule()) == "ok"


@pytest.mark.django_db
def test_ill_replica_is_quoted() -> None:
    ReplicaFactory(state="crash_loop", message="out of\nmemory", deployment__name="chat")
    [finding] = processes.replicas()
    assert (level(finding), finding.name) == ("fail", "deployment chat")
    assert "crash_loop (out of memory)" in finding.what


@pytest.mark.django_db
def test_half_ready_is_a_warning() -> None:
    deployment = DeploymentFactory(replicas=2)
    DeploymentStatus.objects.filter(deployment=deployment).update(ready_replicas=1)
    assert level(processes.replicas()[0]) == "warn"


@pytest.mark.django_db
def test_all_ready() -> None:
    DeploymentFactory(replicas=0)
    assert [level(finding) for finding in processes.replicas()] == ["ok"]


@pytest.mark.parametrize(("free", "expected"), [(0, "fail"), (2, "warn"), (50, "ok")])
def test_disk(free: int, expected: str) -> None:
    with patch("controlplane.doctor.machine.shutil.disk_usage") as usage:
        usage.return_value.free = free * machine.GIB
        assert level(machine.disk()) == expected


@pytest.mark.parametrize(("available", "expected"), [(0, "fail"), (1, "warn"), (8, "ok")])
def test_memory(available: int, expected: str) -> None:
    with patch("controlplane.doctor.machine.psutil.virtual_memory") as virtual:
        virtual.return_value.available = available * machine.GIB
        assert level(machine.memory()) == expected


@pytest.mark.parametrize(("soft", "expected"), [(1024, "warn"), (65_536, "ok"), (resource.RLIM_INFINITY, "ok")])
def test_open_files(soft: int, expected: str) -> None:
    with patch("controlplane.doctor.machine.resource.getrlimit", return_value=(soft, soft)):
        assert level(machine.open_files()) == expected


@pytest.mark.django_db
def test_clock_that_drifts() -> None:
    with patch("controlplane.doctor.machine.timezone.now", return_value=timezone.now() + timedelta(seconds=30)):
        finding = machine.clock()
    assert level(finding) == "fail"
    assert "away from" in finding.what


@pytest.mark.parametrize(
    ("key", "expected"), [("tiny", "fail"), ("django-insecure" + "x" * 40, "fail"), ("q" * 40, "ok")]
)
def test_secret_key(key: str, expected: str) -> None:
    with override_settings(SECRET_KEY=key):
        finding = machine.secret_key()
    assert level(finding) == expected
    assert key not in str(finding)


@pytest.mark.parametrize(
    ("unbound", "owns", "expected"),
    [(False, False, "ok"), (False, True, "warn"), (True, False, "fail"), (True, True, "fail")],
)
def test_role_of_the_processes(unbound: bool, owns: bool, expected: str) -> None:
    assert level(data.role_finding(unbound=unbound, owns=owns)) == expected


@pytest.mark.django_db(databases=["default", "owner"])
def test_owner_is_told_from_the_processes() -> None:
    with patch.object(data, "connection", connections["owner"]):
        assert level(data.role()) == "warn"


def broken() -> Finding:
    raise RuntimeError("a bug\nin a check")


@pytest.mark.django_db
def test_failure_is_the_exit_status(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctors_round, "CHECKS", (lambda: ok("a", "well"), broken, lambda: [ok("b", "well")]))
    ran = run("doctor")
    assert ran.status == 1
    assert ran.out.splitlines() == [
        "ok   a: well", "fail broken: the check broke (RuntimeError: a bug) — report this", "ok   b: well",
    ]  # fmt: skip


@pytest.mark.django_db
def test_json(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctors_round, "CHECKS", (lambda: ok("a", "well"),))
    ran = run("doctor", "--json")
    assert ran.status == 0
    assert json.loads(ran.out) == {"ok": True, "findings": [{"level": "ok", "name": "a", "what": "well", "todo": ""}]}


@pytest.mark.django_db
def test_every_check_is_in_the_round() -> None:
    lines = run("doctor").out.splitlines()
    assert len(lines) >= len(doctors_round.CHECKS)
    assert all(line.startswith(("ok  ", "warn", "fail")) for line in lines)


@pytest.mark.django_db
def test_ledger_that_does_not_add_up() -> None:
    limit = LimitFactory(project=ProjectFactory(), tokens_per_day=10)
    assert level(data.budgets()) == "ok"
    now = timezone.now()
    BudgetAccount.objects.create(limit=limit, dimension="tokens_per_day", period="p", starts=now, ends=now, spent=1)
    assert level(data.budgets()) == "fail"


@pytest.mark.django_db
def test_budget_of_cost_without_prices() -> None:
    target = TargetFactory()
    LimitFactory(route=target.route, cost_micros_per_day=10)
    finding = data.budgets()
    assert level(finding) == "warn"
    assert str(target.deployment.version) in finding.what
