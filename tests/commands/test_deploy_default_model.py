"""`deploy_default_model`: once in an instance's life, through the actions."""

from collections.abc import Callable
from pathlib import Path

import pytest

from audit.models import Event
from controlplane.actions.deploy_default_model import NAME
from controlplane.models import Deployment, Model, Route
from tests.commands.run import Ran, run

pytestmark = pytest.mark.django_db


@pytest.fixture
def source(tmp_path: Path) -> str:
    (tmp_path / "config.json").write_text("{}")
    return str(tmp_path)


def test_model_is_deployed_and_routed(source: str) -> None:
    assert run("deploy_default_model", "--source", source) == Ran(f"{NAME}\n", "", 0)
    deployment = Deployment.objects.get(name=NAME)
    assert (deployment.flavour, deployment.backend, deployment.replicas) == ("vllm-cpu", "process", 1)
    assert deployment.version.source == source
    assert Route.objects.get(name=NAME).targets.get().deployment == deployment


def test_register_tells_of_each_step(source: str, events: Callable[[], list[Event]]) -> None:
    run("deploy_default_model", "--source", source)
    assert [event.operation for event in events()] == [
        "model.created", "version.created", "deployment.created", "route.created",
    ]  # fmt: skip


def test_second_run_changes_nothing(source: str, events: Callable[[], list[Event]]) -> None:
    run("deploy_default_model", "--source", source)
    Deployment.objects.update(replicas=0)
    run("deploy_default_model", "--source", source)
    assert Deployment.objects.get().replicas == 0
    assert len(events()) == 4


def test_what_was_deleted_stays_deleted(source: str) -> None:
    run("deploy_default_model", "--source", source)
    Route.objects.all().delete()
    Deployment.objects.all().delete()
    Model.objects.get().versions.all().delete()
    Model.objects.all().delete()
    run("deploy_default_model", "--source", source)
    assert not Model.objects.exists()


def test_directory_without_a_model_is_refused(tmp_path: Path) -> None:
    ran = run("deploy_default_model", "--source", str(tmp_path))
    assert ran.status == 1
    assert "config.json" in ran.err
    assert not Model.objects.exists()
