"""If-Match keeps two people from overwriting each other; a destructive change says why."""

from collections.abc import Callable

import pytest

from audit.models import Event
from controlplane.models import Deployment
from tests.api.conftest import Client
from tests.factories import ApiKeyFactory, DeploymentFactory, RouteFactory, VersionFactory

pytestmark = pytest.mark.django_db


@pytest.fixture
def deployment() -> Deployment:
    return DeploymentFactory.create(replicas=1)


@pytest.fixture
def path(deployment: Deployment) -> str:
    return f"/deployments/{deployment.pk}"


def test_etag_is_strong_and_stays(alice_api: Client, path: str) -> None:
    first, second = alice_api.get(path)["ETag"], alice_api.get(path)["ETag"]
    assert first == second
    assert first.startswith('"')


def test_matching_change_goes_through(alice_api: Client, path: str) -> None:
    etag = alice_api.get(path)["ETag"]
    response = alice_api.patch(path, {"replicas": 2}, headers={"If-Match": etag})
    assert response.status_code == 200
    assert response["ETag"] == alice_api.get(path)["ETag"] != etag


def test_stale_change_changes_nothing(alice_api: Client, path: str, events: Callable[[], list[Event]]) -> None:
    etag = alice_api.get(path)["ETag"]
    alice_api.patch(path, {"replicas": 2})
    response = alice_api.patch(path, {"replicas": 5}, headers={"If-Match": etag})
    assert (response.status_code, response.json()["code"]) == (412, "stale")
    assert alice_api.get(path).json()["replicas"] == 2
    assert len(events()) == 1


def test_creation_and_list_agree_on_the_etag(alice_api: Client) -> None:
    made = alice_api.post("/projects", {"name": "team-a"})
    assert alice_api.get(f"/projects/{made.json()['id']}")["ETag"] == made["ETag"]


@pytest.mark.parametrize("value", ["*", '"other", {etag}', "{etag},"])
def test_lists_and_star_match(alice_api: Client, path: str, value: str) -> None:
    header = value.replace("{etag}", alice_api.get(path)["ETag"])
    assert alice_api.patch(path, {"replicas": 2}, headers={"If-Match": header}).status_code == 200


@pytest.mark.parametrize(
    ("value", "status"), [("unquoted", 400), ("", 400), ('"', 400), ('""', 412), ("W/{etag}", 412)]
)
def test_other_values_do_not(alice_api: Client, path: str, value: str, status: int) -> None:
    header = value.replace("{etag}", alice_api.get(path)["ETag"])
    assert alice_api.patch(path, {"replicas": 2}, headers={"If-Match": header}).status_code == status
    assert alice_api.get(path).json()["replicas"] == 1


def test_status_does_not_move_the_etag(alice_api: Client, deployment: Deployment, path: str) -> None:
    etag = alice_api.get(path)["ETag"]
    deployment.status.message = "starting"
    deployment.status.save()
    assert alice_api.get(path)["ETag"] == etag


def test_stale_delete_deletes_nothing(alice_api: Client, path: str) -> None:
    response = alice_api.delete(path, {"reason": "x"}, headers={"If-Match": '"old"'})
    assert response.status_code == 412
    assert Deployment.objects.get().deleted_at is None


@pytest.mark.parametrize("noun", ["deployments", "routes", "api-keys"])
def test_deletion_wants_a_reason(alice_api: Client, noun: str, events: Callable[[], list[Event]]) -> None:
    factory = {"deployments": DeploymentFactory, "routes": RouteFactory, "api-keys": ApiKeyFactory}[noun]
    response = alice_api.delete(f"/{noun}/{factory().pk}")
    assert (response.status_code, response.json()["code"]) == (400, "reason_required")
    assert response.json()["errors"][0] == {
        "field": "reason", "code": "reason_required", "message": "Say why, in the body's reason or in X-Reason.",
    }  # fmt: skip
    assert events() == []


def test_retiring_wants_a_reason(alice_api: Client) -> None:
    response = alice_api.patch(f"/versions/{VersionFactory().pk}", {"state": "retired"})
    assert response.json()["errors"][0]["code"] == "reason_required"


def test_scaling_to_nothing_wants_a_reason(alice_api: Client, path: str) -> None:
    response = alice_api.patch(path, {"replicas": 0})
    assert (response.status_code, response.json()["code"]) == (400, "reason_required")
    assert alice_api.patch(path, {"replicas": 0, "reason": "night"}).status_code == 200


def test_reason_may_come_in_the_header(alice_api: Client, path: str) -> None:
    alice_api.patch(path, {"replicas": 2}, headers={"X-Reason": "peak"})
    assert Event.objects.get().reason == "peak"


def test_reason_in_the_body_comes_first(alice_api: Client, path: str) -> None:
    alice_api.patch(path, {"replicas": 2, "reason": "body"}, headers={"X-Reason": "header"})
    assert Event.objects.get().reason == "body"


@pytest.mark.parametrize("header", ["x" * 501, "a\tb"])
def test_bad_header_is_refused_even_beside_a_good_body(alice_api: Client, path: str, header: str) -> None:
    response = alice_api.patch(path, {"replicas": 2, "reason": "body"}, headers={"X-Reason": header})
    assert (response.status_code, response.json()["errors"][0]["field"]) == (400, "X-Reason")


def test_no_change_leaves_no_event(alice_api: Client, path: str, events: Callable[[], list[Event]]) -> None:
    assert alice_api.patch(path, {"replicas": 1}).status_code == 200
    assert alice_api.patch(path, {}).status_code == 200
    assert events() == []
