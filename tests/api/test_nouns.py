"""Each noun is made, read and changed through its action, and the register says so."""

from collections.abc import Callable
from typing import Any

import pytest

from audit.models import Event
from controlplane.models import ApiKey, Deployment, ManagementToken, Route, User
from inference.contract import keys
from tests.api.conftest import Client
from tests.factories import (
    ApiKeyFactory,
    DeploymentFactory,
    ModelFactory,
    ProjectFactory,
    ReplicaFactory,
    RouteFactory,
    TargetFactory,
    VersionFactory,
)

pytestmark = pytest.mark.django_db
Events = Callable[[], list[Event]]


def made(response: Any) -> dict[str, Any]:
    assert response.status_code == 201, response.content
    return dict(response.json())


def test_model(alice_api: Client) -> None:
    ProjectFactory(name="team-a")
    body = made(alice_api.post("/models", {"name": "qwen3-32b", "project": "team-a", "description": "a\nb"}))
    assert (body["name"], body["project"], body["description"]) == ("qwen3-32b", "team-a", "a\nb")


def test_version(alice_api: Client) -> None:
    ModelFactory(name="qwen3-32b")
    body = made(alice_api.post("/versions", {"model": "qwen3-32b", "name": "v1", "source": "hf:Qwen/Qwen3-32B"}))
    assert (body["model"], body["state"], body["max_model_len"]) == ("qwen3-32b", "available", None)


def test_version_is_retired_with_a_reason(alice_api: Client, events: Events) -> None:
    version = VersionFactory()
    response = alice_api.patch(f"/versions/{version.pk}", {"state": "retired", "reason": "replaced by v2"})
    assert response.json()["state"] == "retired"
    assert (events()[-1].operation, events()[-1].reason) == ("version.retired", "replaced by v2")


def test_deployment_by_names(alice_api: Client) -> None:
    version = VersionFactory(model__name="qwen3-32b", name="v1")
    body = made(
        alice_api.post(
            "/deployments", {"name": "blue", "version": "qwen3-32b:v1", "replicas": 2, "engine_args": {"seed": 1}}
        )
    )
    assert (body["version"], body["version_id"], body["project"]) == ("qwen3-32b:v1", str(version.pk), None)
    assert (body["backend"], body["flavour"], body["replicas"]) == ("process", "vllm-cpu", 2)
    assert body["status"]["state"] == "pending"


def test_deployment_by_ids(alice_api: Client) -> None:
    version = VersionFactory()
    assert made(alice_api.post("/deployments", {"name": "blue", "version": str(version.pk)}))


def test_external_deployment(alice_api: Client) -> None:
    VersionFactory(model__name="m", name="v1")
    body = {
        "name": "far", "version": "m:v1", "backend": "external", "flavour": "external",
        "external_url": "http://engine:8000", "served_name": "M",
    }  # fmt: skip
    assert made(alice_api.post("/deployments", body))["external_url"] == "http://engine:8000"


def test_scale_and_change_in_one_gesture(alice_api: Client, events: Events) -> None:
    deployment = DeploymentFactory()
    response = alice_api.patch(f"/deployments/{deployment.pk}", {"replicas": 3, "drain_seconds": 5, "reason": "peak"})
    assert (response.json()["replicas"], response.json()["drain_seconds"]) == (3, 5)
    assert [(event.operation, event.reason) for event in events()] == [
        ("deployment.scaled", "peak"), ("deployment.changed", "peak"),
    ]  # fmt: skip
    assert len({event.request_id for event in events()}) == 1


def test_half_of_a_gesture_is_undone(alice_api: Client, events: Events) -> None:
    deployment = DeploymentFactory(replicas=1)
    response = alice_api.patch(f"/deployments/{deployment.pk}", {"replicas": 3, "engine_args": {"port": 1}})
    assert (response.status_code, response.json()["errors"][0]["field"]) == (400, "engine_args")
    deployment.refresh_from_db()
    assert deployment.replicas == 1
    assert events() == []


def test_deployment_is_deleted_with_a_reason(alice_api: Client) -> None:
    deployment = DeploymentFactory()
    response = alice_api.delete(
        f"/deployments/{deployment.pk}", headers={"X-Reason": "不再需要".encode().decode("latin-1")}
    )
    assert response.status_code == 202
    assert response.json()["deleted_at"]
    assert Event.objects.get().reason == "不再需要"


def test_routed_deployment_is_kept(alice_api: Client) -> None:
    target = TargetFactory()
    response = alice_api.delete(f"/deployments/{target.deployment.pk}", {"reason": "why not"})
    assert (response.status_code, response.json()["code"]) == (409, "in_use")
    assert Deployment.objects.get().deleted_at is None


def test_route(alice_api: Client) -> None:
    blue, green = DeploymentFactory(name="blue"), DeploymentFactory(name="green")
    targets = [{"deployment": "blue", "weight": 90}, {"deployment": str(green.pk), "weight": 10}]
    body = made(alice_api.post("/routes", {"name": "Qwen/chat", "targets": targets}))
    assert body["targets"] == [
        {"deployment": "blue", "deployment_id": str(blue.pk), "weight": 90},
        {"deployment": "green", "deployment_id": str(green.pk), "weight": 10},
    ]


def test_route_is_changed(alice_api: Client) -> None:
    target, green = TargetFactory(), DeploymentFactory(name="green")
    response = alice_api.patch(f"/routes/{target.route.pk}", {"targets": [{"deployment": "green"}]})
    assert [target["deployment"] for target in response.json()["targets"]] == [green.name]


def test_route_is_deleted(alice_api: Client) -> None:
    target = TargetFactory()
    assert alice_api.delete(f"/routes/{target.route.pk}", {"reason": "retired"}).status_code == 204
    assert not Route.objects.exists()


def test_key_is_shown_once(alice_api: Client) -> None:
    ProjectFactory(name="default")
    RouteFactory(name="chat")
    body = made(alice_api.post("/api-keys", {"project": "default", "name": "batch", "routes": ["chat"]}))
    assert keys.parse(body["key"])
    assert body["routes"] == ["chat"]
    again = alice_api.get(f"/api-keys/{body['id']}").json()
    assert "key" not in again
    assert "digest" not in again
    assert body["key"] not in str(alice_api.get("/api-keys").content)


def test_key_expires(alice_api: Client) -> None:
    ProjectFactory(name="default")
    end = "2099-01-31T08:00:00+08:00"
    body = made(alice_api.post("/api-keys", {"project": "default", "name": "k", "expires_at": end}))
    assert body["expires_at"] == "2099-01-31T00:00:00Z"


def test_key_is_revoked(alice_api: Client) -> None:
    key = ApiKeyFactory()
    response = alice_api.delete(f"/api-keys/{key.pk}", {"reason": "leaked"})
    assert (response.status_code, response.json()["usable"]) == (200, False)
    assert ApiKey.objects.get().revoked_at


def test_project(alice_api: Client) -> None:
    assert made(alice_api.post("/projects", {"name": "team-a", "title": "Team A"}))["title"] == "Team A"


def test_user_gets_a_one_time_password(alice_api: Client) -> None:
    body = made(alice_api.post("/users", {"username": "dora", "superuser": True}))
    dora = User.objects.get(username="dora")
    assert dora.check_password(body["one_time_password"])
    assert (dora.must_change_password, dora.is_superuser) == (True, True)
    assert "one_time_password" not in alice_api.get(f"/users/{dora.pk}").json()


def test_replica_has_history_and_log(alice_api: Client) -> None:
    replica = ReplicaFactory()
    replica.history.create(old_state="ready", new_state="backoff", reason="exited", log_tail="out of memory")
    body = alice_api.get(f"/replicas/{replica.pk}").json()
    assert body["history"][0]["log_tail"] == "out of memory"
    assert body["log_tail"] == ""


def test_replicas_of_a_deployment(alice_api: Client) -> None:
    replica = ReplicaFactory()
    ReplicaFactory()
    body = alice_api.get(f"/deployments/{replica.deployment.pk}/replicas").json()
    assert [row["name"] for row in body["results"]] == [replica.name]


def test_event_names_actor_and_way(alice_api: Client, alice_user: User) -> None:
    made(alice_api.post("/projects", {"name": "team-a"}, headers={"X-Request-ID": "my-request-0001"}))
    event = alice_api.get("/audit/events").json()["results"][0]
    assert event["operation"] == "project.created"
    assert (event["actor_name"], event["source"], event["auth_method"]) == ("alice", "api", "token")
    assert (event["request_id"], event["source_ip"]) == ("my-request-0001", "127.0.0.1")
    assert alice_api.get(f"/audit/events/{event['id']}").json() == event


@pytest.mark.parametrize("method", ["post", "put", "patch", "delete"])
def test_register_cannot_be_changed(alice_api: Client, method: str) -> None:
    assert getattr(alice_api, method)("/audit/events", {}).status_code == 405


def test_no_answer_holds_a_digest(alice_api: Client) -> None:
    key = ApiKeyFactory()
    token = ManagementToken.objects.get()
    for noun in ("users", "api-keys", "projects"):
        content = alice_api.get(f"/{noun}").content.decode()
        assert key.digest not in content
        assert token.digest not in content
