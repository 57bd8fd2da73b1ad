from datetime import UTC, datetime

import pytest

from controlplane.lifecycle import ReplicaState
from controlplane.models import DeploymentStatus, ReplicaTransition
from controlplane.replica_log import LOG, MOST_BYTES, tail
from tests.factories import DeploymentFactory, ReplicaFactory
from workers.backends.process.state import ReplicaDirectory

from .pages import text, url


@pytest.fixture
def replica(db):
    return ReplicaFactory(
        deployment__name="qwen", name="qwen-0", ordinal=0, state=ReplicaState.CRASH_LOOP, reason="engine_exited",
        message="Exit status 1", restarts=5, retry_at=datetime(2026, 11, 3, 4, 5, 6, tzinfo=UTC),
    )  # fmt: skip


@pytest.fixture
def directory(replica, settings, tmp_path):
    settings.REPLICAS_DIR = tmp_path
    path = tmp_path / replica.name
    path.mkdir()
    return path


def _live(console, replica):
    return text(console.get(url("controlplane_deployment_live", replica.deployment_id)))


def test_live_part_shows_state_reason_and_next_start(alice_console, replica):
    page = _live(alice_console, replica)
    for shown in ('data-state="crash_loop"', "engine_exited", "Exit status 1", "04:05:06", ">5<"):
        assert shown in page


def test_live_part_follows_the_status(alice_console, replica):
    DeploymentStatus.objects.update(state="failed", message="CUDA out of memory", ready_replicas=0)
    page = _live(alice_console, replica)
    assert 'data-state="failed"' in page
    assert "CUDA out of memory" in page


def test_live_part_is_no_whole_page(alice_console, replica):
    assert "<html" not in _live(alice_console, replica)


def test_history_tells_why_with_the_last_lines(alice_console, replica):
    ReplicaTransition.objects.create(
        replica=replica, old_state="ready", new_state="crash_loop", reason="engine_exited", log_tail="<Killed>"
    )
    page = _live(alice_console, replica)
    assert "&lt;Killed&gt;" in page


def test_scaled_to_zero_is_said(alice_console):
    deployment = DeploymentFactory(replicas=0)
    assert "Scaled to zero" in text(alice_console.get(url("controlplane_deployment_live", deployment.pk)))


def _log(console, replica):
    return console.get(url("controlplane_deployment_log", replica.deployment_id, replica.name)).json()["text"]


def test_log_is_the_one_that_the_backend_writes(replica, directory):
    assert ReplicaDirectory(directory).log.name == LOG


def test_log_shows_its_end(alice_console, replica, directory):
    (directory / LOG).write_text("starting\nready 就绪\n")
    assert _log(alice_console, replica) == "starting\nready 就绪"


def test_log_is_bounded(replica, directory):
    (directory / LOG).write_text("x" * 99 + "\n" + ("y" * 99 + "\n") * 10_000)
    found = tail(replica, lines=10_000)
    assert len(found) <= MOST_BYTES
    assert set(found.splitlines()) == {"y" * 99}


def test_missing_log_is_null(alice_console, replica, directory):
    assert _log(alice_console, replica) is None


def test_bytes_of_no_encoding_are_shown_as_such(replica, directory):
    (directory / LOG).write_bytes(b"\xff\xfe ok\n")
    assert tail(replica) == "\ufffd\ufffd ok"


def test_log_of_another_deployment_is_not_found(alice_console, replica, directory):
    other = DeploymentFactory()
    assert alice_console.get(url("controlplane_deployment_log", other.pk, replica.name)).status_code == 404


@pytest.mark.parametrize("name", ["..", "qwen-1", "%2e%2e%2fetc"])
def test_log_of_no_replica_is_not_found(name, alice_console, replica, directory):
    path = f"/console/controlplane/deployment/{replica.deployment_id}/replicas/{name}/log/"
    assert alice_console.get(path).status_code == 404
