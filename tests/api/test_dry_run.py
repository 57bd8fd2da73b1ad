"""A dry run shows the plan and what engines would be told, and leaves nothing behind: no row, no event."""

from collections.abc import Callable
from typing import Any

import pytest

from audit.models import Event
from controlplane.models import Deployment, RememberedAnswer
from tests.api.conftest import Client
from tests.factories import DeploymentFactory, ReplicaFactory, TargetFactory, VersionFactory

pytestmark = pytest.mark.django_db
BLUE = {"name": "blue", "version": "m:v1", "replicas": 2, "engine_args": {"seed": 7}}


@pytest.fixture(autouse=True)
def no_event(events: Callable[[], list[Event]]) -> Any:
    yield
    assert events() == []


@pytest.fixture
def running() -> Deployment:
    deployment = DeploymentFactory.create(name="blue", replicas=1)
    ReplicaFactory(deployment=deployment, ordinal=0, spec_hash="old")
    return deployment


def plan(response: Any) -> list[tuple[str, str, str]]:
    assert response.status_code == 200, response.content
    body = response.json()
    assert (body["dry_run"], body["deployment"]) == (True, "blue")
    return [(step["order"], step["replica"], step["reason"]) for step in body["plan"]]


def test_creation(alice_api: Client) -> None:
    VersionFactory(model__name="m", name="v1")
    response = alice_api.post("/deployments?dry_run=true", BLUE)
    assert plan(response) == [("start", "blue-0", "missing"), ("start", "blue-1", "missing")]
    assert "--seed" in response.json()["manifests"][0]["arguments"]
    assert not Deployment.objects.exists()


def test_change(alice_api: Client, running: Deployment) -> None:
    response = alice_api.patch(f"/deployments/{running.pk}?dry_run=true", {"engine_args": {"seed": 8}})
    assert [step[0] for step in plan(response)] == ["leave", "stop", "start"]
    assert response.json()["changes"] == {"engine_args": [{}, {"seed": 8}]}
    running.refresh_from_db()
    assert running.engine_args == {}


def test_scaling_to_nothing_needs_no_reason_yet(alice_api: Client, running: Deployment) -> None:
    response = alice_api.patch(f"/deployments/{running.pk}?dry_run=true", {"replicas": 0})
    assert plan(response)[0] == ("leave", "blue-0", "surplus")


def test_end(alice_api: Client, running: Deployment) -> None:
    response = alice_api.delete(f"/deployments/{running.pk}?dry_run=true", {"reason": "over"})
    assert plan(response)[0] == ("leave", "blue-0", "deployment_deleted")
    running.refresh_from_db()
    assert running.deleted_at is None


def test_refuses_what_the_change_would(alice_api: Client, running: Deployment) -> None:
    VersionFactory(model__name="m", name="v1")
    assert alice_api.post("/deployments?dry_run=true", BLUE).json()["code"] == "already_exists"
    path = f"/deployments/{running.pk}?dry_run=true"
    assert alice_api.patch(path, {"engine_args": {"port": 1}}).json()["errors"][0]["field"] == "engine_args"
    assert alice_api.patch(path, {"replicas": 2}, headers={"If-Match": '"old"'}).status_code == 412
    TargetFactory(deployment=running)
    assert alice_api.delete(path).json()["code"] == "reason_required"
    assert alice_api.delete(path, {"reason": "over"}).json()["code"] == "in_use"


def test_is_no_way_around_rights(charlie_api: Client, running: Deployment) -> None:
    VersionFactory(model__name="m", name="v1")
    assert charlie_api.post("/deployments?dry_run=true", BLUE | {"name": "green"}).status_code == 403
    response = charlie_api.delete(f"/deployments/{running.pk}?dry_run=true", {"reason": "over"})
    assert response.status_code in {403, 404}


def test_remembers_nothing(alice_api: Client) -> None:
    VersionFactory(model__name="m", name="v1")
    assert alice_api.post("/deployments?dry_run=true", BLUE, headers={"Idempotency-Key": "k"}).status_code == 200
    assert not RememberedAnswer.objects.exists()


@pytest.mark.parametrize(
    "query", ["dry_run=1", "dry_run=", "dry_run=True", "dryrun=true", "dry_run=true&dry_run=false"]
)
def test_a_slip_executes_nothing(alice_api: Client, query: str) -> None:
    VersionFactory(model__name="m", name="v1")
    response = alice_api.post(f"/deployments?{query}", BLUE)
    assert response.status_code == 400
    assert response.json()["errors"][0]["field"] == query.partition("=")[0]
    assert not Deployment.objects.exists()


def test_other_nouns_refuse_it(alice_api: Client) -> None:
    response = alice_api.post("/projects?dry_run=true", {"name": "p"})
    assert (response.status_code, response.json()["errors"][0]["code"]) == (400, "unknown_parameter")
