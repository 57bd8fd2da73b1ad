"""Every POST, PATCH, PUT and DELETE that the API's description knows leaves an event that says who asked and how.

A new one fails here until it stands in `CHANGES`.
"""

import json
from collections.abc import Callable
from typing import Any

import pytest
from django.utils import timezone

from audit.models import Event, Hold
from audit.operations import Operation
from audit.record import Actor, Target, record
from controlplane.api.schema import document
from controlplane.models import ManagementToken, User
from tests import factories
from tests.api.conftest import Client, alice_api  # noqa: F401 - the fixture
from tests.audit.months import old_month

pytestmark = pytest.mark.django_db
Send = Callable[[Client], Any]
PREFIX = "/api/v1"
SAME_REQUEST = "f" * 32


def deletion(noun: str, make: Callable[[], Any]) -> Send:
    return lambda api: api.delete(f"/{noun}/{make().pk}", {"reason": "over"})


def change(noun: str, make: Callable[[], Any], body: dict[str, Any]) -> Send:
    return lambda api: api.patch(f"/{noun}/{make().pk}", body)


def creation(path: str, body: Callable[[], dict[str, Any]]) -> Send:
    return lambda api: api.post(path, body())


def an_event() -> Any:
    """One to ask about, that looks as if the request had left it, too."""
    actor = Actor(
        type="user", id="1", name="alice", source="api", auth_method="token", request_id=SAME_REQUEST
    )  # fmt: skip
    return record(Operation.PROJECT_CHANGED, actor=actor, target=Target("project", "p", "p")).id


def machine() -> Any:
    return factories.ServiceAccountFactory()


def a_token() -> ManagementToken:
    return ManagementToken.objects.create(service_account=machine(), name="t", digest="d")


def order_a_month(api: Client) -> Any:
    with old_month() as month:
        return api.delete(f"/audit/months/{month:%Y-%m}", {"reason": "old"})


CHANGES: dict[str, Send] = {
    "POST /audit/exports": creation("/audit/exports", lambda: {"filter": {"kind": "management"}}),
    "DELETE /audit/exports/{id}": deletion("audit/exports", factories.ExportFactory),
    "POST /audit/holds": creation(
        "/audit/holds", lambda: {"of": "project", "name": factories.ProjectFactory().name, "reason": "lawsuit"}
    ),
    "DELETE /audit/holds/{id}": deletion(
        "audit/holds", lambda: Hold.objects.create(of="actor", name="k", reason="lawsuit", placed_by="alice")
    ),
    "DELETE /audit/months/{id}": order_a_month,
    "DELETE /suspensions/{id}": deletion("suspensions", factories.SuspensionFactory),
    "POST /projects": creation("/projects", lambda: {"name": "p"}),
    "PATCH /projects/{id}": change("projects", factories.ProjectFactory, {"title": "new"}),
    "POST /models": creation("/models", lambda: {"name": "m"}),
    "POST /versions": creation(
        "/versions", lambda: {"model": factories.ModelFactory().name, "name": "v", "source": "hf:org/m"}
    ),
    "PATCH /versions/{id}": change("versions", factories.VersionFactory, {"state": "retired", "reason": "over"}),
    "POST /deployments": creation("/deployments", lambda: {"name": "d", "version": str(factories.VersionFactory().pk)}),
    "PATCH /deployments/{id}": change("deployments", factories.DeploymentFactory, {"replicas": 2}),
    "DELETE /deployments/{id}": deletion("deployments", factories.DeploymentFactory),
    "POST /routes": creation("/routes", lambda: {"name": "r", "targets": []}),
    "PATCH /routes/{id}": change("routes", lambda: factories.TargetFactory().route, {"targets": []}),
    "DELETE /routes/{id}": deletion("routes", factories.RouteFactory),
    "POST /limits": creation("/limits", lambda: {"route": factories.RouteFactory().name, "concurrency": 1}),
    "PATCH /limits/{id}": change(
        "limits", lambda: factories.LimitFactory(route=factories.RouteFactory()), {"concurrency": 1}
    ),
    "DELETE /limits/{id}": deletion("limits", lambda: factories.LimitFactory(route=factories.RouteFactory())),
    "POST /api-keys": creation("/api-keys", lambda: {"project": factories.ProjectFactory().name, "name": "k"}),
    "PATCH /api-keys/{id}": change("api-keys", factories.ApiKeyFactory, {"name": "new"}),
    "POST /api-keys/{id}/rotate": lambda api: api.post(f"/api-keys/{factories.ApiKeyFactory().pk}/rotate", {}),
    "DELETE /api-keys/{id}": deletion("api-keys", factories.ApiKeyFactory),
    "POST /users": creation("/users", lambda: {"username": "dora"}),
    "PATCH /users/{id}": change("users", factories.UserFactory, {"active": False, "reason": "left"}),
    "DELETE /users/{id}/sessions": lambda api: api.delete(
        f"/users/{factories.SessionFactory().user.pk}/sessions", {"reason": "over"}
    ),
    "DELETE /sessions/{id}": deletion("sessions", factories.SessionFactory),
    "DELETE /sessions/others": lambda api: (
        factories.SessionFactory(user=User.objects.get(username="alice")),
        api.delete("/sessions/others", {"reason": "over"}),
    )[1],
    "POST /audit/events/{id}/bodies": lambda api: api.post(
        f"/audit/events/{an_event()}/bodies", {"reason": "asked"}, headers={"X-Request-ID": SAME_REQUEST}
    ),
    "POST /projects/{id}/erasures": lambda api: api.post(
        f"/projects/{factories.BodyKeyFactory(person='dora').project.pk}/erasures",
        {"person": "dora", "reason": "asked"},
    ),
    "POST /tokens": creation("/tokens", lambda: {"name": "t", "service_account": str(machine().pk)}),
    "POST /tokens/{id}/rotate": lambda api: api.post(f"/tokens/{a_token().pk}/rotate", {}),
    "DELETE /tokens/{id}": deletion("tokens", a_token),
    "POST /role-bindings": creation(
        "/role-bindings", lambda: {"user": factories.UserFactory().username, "role": "viewer"}
    ),
    "DELETE /role-bindings/{id}": deletion(
        "role-bindings", lambda: factories.BindingFactory(user=factories.UserFactory())
    ),
    "POST /alert-rules": creation(
        "/alert-rules", lambda: {"name": "r", "metric": "kv_cache_use", "aggregation": "avg", "threshold": 85}
    ),
    "PATCH /alert-rules/{id}": change("alert-rules", factories.AlertRuleFactory, {"threshold": 90}),
    "DELETE /alert-rules/{id}": deletion("alert-rules", factories.AlertRuleFactory),
    "POST /alerts/{id}/acknowledge": lambda api: api.post(f"/alerts/{factories.AlertFactory().pk}/acknowledge", {}),
    "POST /silences": creation(
        "/silences",
        lambda: {"starts_at": "2026-01-01T00:00:00Z", "ends_at": "2026-01-02T00:00:00Z", "comment": "works"},
    ),
    "DELETE /silences/{id}": deletion("silences", factories.SilenceFactory),
    "POST /channels": creation(
        "/channels", lambda: {"name": "c", "kind": "webhook", "url": "https://alerts.example.com/h"}
    ),
    "PATCH /channels/{id}": change("channels", factories.ChannelFactory, {"name": "new"}),
    "POST /channels/{id}/test": lambda api: api.post(f"/channels/{factories.ChannelFactory().pk}/test", {}),
    "DELETE /channels/{id}": deletion("channels", factories.ChannelFactory),
    "POST /service-accounts": creation("/service-accounts", lambda: {"name": "ci"}),
    "PATCH /service-accounts/{id}": change("service-accounts", machine, {"description": "new"}),
}
# Whoever asks these is not signed in yet, or signs out: what they leave is proven in tests/identity.
SIGN_INS = {"POST /auth/token", "POST /auth/refresh", "POST /auth/revoke", "POST /auth/password"}


def described() -> set[str]:
    paths = json.loads(document())["paths"]
    return {
        f"{method.upper()} {path.removeprefix(PREFIX)}"
        for path, item in paths.items()
        for method in item
        if method in {"post", "put", "patch", "delete"}
    }


def test_every_change_of_the_description_is_tried() -> None:
    assert sorted(described() ^ (CHANGES.keys() | SIGN_INS)) == []


@pytest.mark.parametrize("which", CHANGES)
def test_change_leaves_an_event(which: str, alice_api: Client, events: Callable[[], list[Event]]) -> None:  # noqa: F811
    began = timezone.now()
    response = CHANGES[which](alice_api)
    assert response.status_code < 300, response.content
    assert events(), "nothing is in the register"
    for event in events():
        assert (event.actor_type, event.actor_name, event.source) == ("user", "alice", "api")
        assert (event.auth_method, event.request_id) == ("token", response["X-Request-ID"])
        assert event.at >= began


@pytest.mark.parametrize("which", sorted(it for it in CHANGES if it.startswith("DELETE ")))
def test_every_deletion_needs_a_reason(which: str, alice_api: Client, events: Callable[[], list[Event]]) -> None:  # noqa: F811
    class Silent(Client):
        def delete(self, path: str, *_args: Any, **_kwargs: Any) -> Any:
            return alice_api.delete(path)

    response = CHANGES[which](Silent())
    assert (response.status_code, response.json()["code"]) == (400, "reason_required")
    assert events() == []
