"""What an action does besides the register: rows, signals after the commit, the gateway's tables in Redis."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import replace
from datetime import timedelta
from typing import Any
from unittest.mock import patch
from uuid import UUID

import pytest
from django.conf import settings
from django.db import DatabaseError
from django.utils import timezone
from redis import Redis

from audit.models import Event
from audit.record import Actor
from controlplane import tokens
from controlplane.actions.change_deployment import change_deployment
from controlplane.actions.change_password import change_password
from controlplane.actions.create_api_key import create_api_key
from controlplane.actions.create_deployment import create_deployment
from controlplane.actions.create_project import create_project
from controlplane.actions.create_token import create_token
from controlplane.actions.create_user import create_user
from controlplane.actions.delete_deployment import delete_deployment
from controlplane.actions.delete_route import delete_route
from controlplane.actions.retire_version import retire_version
from controlplane.actions.revoke_api_key import revoke_api_key
from controlplane.actions.scale_deployment import scale_deployment
from controlplane.actions.set_route import change_route, create_route
from controlplane.models import ManagementToken, Project, User
from controlplane.signals import desired_changed
from inference.contract import keys, tables
from tests import factories
from tests.conftest import as_actor

pytestmark = pytest.mark.django_db
Commit = Callable[..., AbstractContextManager[Any]]


@pytest.fixture
def told() -> Iterator[list[UUID]]:
    """The deployments that workers are told of; nobody else listens meanwhile."""
    heard: list[UUID] = []

    def hear(deployment_id: UUID, **_: Any) -> None:
        heard.append(deployment_id)

    receivers, desired_changed.receivers = desired_changed.receivers, []
    desired_changed.connect(hear)
    yield heard
    desired_changed.receivers = receivers
    desired_changed.sender_receivers_cache.clear()


def key_in(redis: Redis, key_id: str) -> tables.KeyEntry | None:
    raw = redis.hget(tables.KEYS, key_id)
    return tables.decode_key(raw) if raw else None


def routes_in(redis: Redis) -> dict[str, tables.RouteEntry]:
    return {route.name: route for route in tables.decode_routes(redis.get(tables.ROUTES)).routes}


def test_deployment_has_a_status_and_a_served_name(alice: Actor) -> None:
    deployment = create_deployment(name="d", version=factories.VersionFactory(model__name="qwen"), actor=alice)
    assert (deployment.status.state, deployment.served_name) == ("pending", "qwen")


@pytest.mark.parametrize(
    "act",
    [
        lambda alice: create_deployment(name="d", version=factories.VersionFactory(), actor=alice),
        lambda alice: scale_deployment(factories.DeploymentFactory(), replicas=3, actor=alice),
        lambda alice: change_deployment(factories.DeploymentFactory(), drain_seconds=1, actor=alice),
        lambda alice: delete_deployment(factories.DeploymentFactory(), actor=alice, reason="r"),
    ],
    ids=["create", "scale", "change", "delete"],
)
def test_workers_are_told_after_the_commit(
    act: Any, alice: Actor, told: list[UUID], django_capture_on_commit_callbacks: Commit
) -> None:
    with django_capture_on_commit_callbacks(execute=True):
        deployment = act(alice)
        assert told == []
    assert told == [deployment.pk]


def test_workers_hear_nothing_of_no_change(
    alice: Actor, told: list[UUID], django_capture_on_commit_callbacks: Commit
) -> None:
    with django_capture_on_commit_callbacks(execute=True):
        scale_deployment(factories.DeploymentFactory(replicas=1), replicas=1, actor=alice)
    assert told == []


def test_key_reaches_the_gateway(alice: Actor, redis: Redis, django_capture_on_commit_callbacks: Commit) -> None:
    end = timezone.now() + timedelta(days=1)
    with django_capture_on_commit_callbacks(execute=True):
        key, token = create_api_key(
            project=factories.ProjectFactory(name="team-a"), name="batch", expires_at=end, actor=alice
        )
        assert key_in(redis, key.key_id) is None
    entry = key_in(redis, key.key_id)
    assert entry is not None
    assert entry.digest == keys.digest(token, keys.pepper(settings.SECRET_KEY))
    assert (entry.project, entry.routes, entry.expires) == ("team-a", None, end.timestamp())


def test_key_is_good_for_its_routes_only(
    alice: Actor, redis: Redis, django_capture_on_commit_callbacks: Commit
) -> None:
    factories.RouteFactory(name="chat")
    with django_capture_on_commit_callbacks(execute=True):
        key, _ = create_api_key(project=factories.ProjectFactory(), name="k", routes=["chat", "chat"], actor=alice)
    entry = key_in(redis, key.key_id)
    assert entry is not None
    assert entry.routes == ("chat",)


def test_revoked_key_leaves_the_gateway(alice: Actor, redis: Redis, django_capture_on_commit_callbacks: Commit) -> None:
    with django_capture_on_commit_callbacks(execute=True):
        key, _ = create_api_key(project=factories.ProjectFactory(), name="k", actor=alice)
    with django_capture_on_commit_callbacks(execute=True):
        revoke_api_key(key, actor=alice, reason="leaked")
    assert key_in(redis, key.key_id) is None
    kind = redis.xrevrange(tables.CHANGES, count=1)[0][1]
    assert kind == {b"kind": b"key", b"id": key.key_id.encode()}


def test_route_reaches_the_gateway_and_leaves_it(
    alice: Actor, redis: Redis, django_capture_on_commit_callbacks: Commit
) -> None:
    replica = factories.ReplicaFactory(deployment__version__max_model_len=2048)
    with django_capture_on_commit_callbacks(execute=True):
        route = create_route(name="chat", targets={replica.deployment: 5}, actor=alice)
    [target] = routes_in(redis)["chat"].targets
    assert (target.weight, target.deployment) == (5, replica.deployment.name)
    assert [entry.name for entry in target.replicas] == [replica.name]
    with django_capture_on_commit_callbacks(execute=True):
        change_route(route, targets={replica.deployment: 0}, actor=alice)
    assert routes_in(redis)["chat"].targets == ()
    with django_capture_on_commit_callbacks(execute=True):
        delete_route(route, actor=alice, reason="over")
    assert routes_in(redis) == {}


def test_change_and_event_stand_or_fall_together(alice: Actor) -> None:
    with (
        patch("controlplane.actions.create_project.record", side_effect=DatabaseError("register is full")),
        pytest.raises(DatabaseError),
    ):
        create_project(name="p", actor=alice)
    assert not Project.objects.exists()
    assert not Event.objects.exists()


def test_deleted_deployment_is_only_marked(alice: Actor) -> None:
    deployment = delete_deployment(factories.DeploymentFactory(), actor=alice, reason="r")
    deployment.refresh_from_db()
    assert deployment.deleted_at is not None


def test_retired_version(alice: Actor) -> None:
    version = retire_version(factories.VersionFactory(), actor=alice, reason="r")
    version.refresh_from_db()
    assert version.state == "retired"


def test_token_is_stored_as_its_digest(alice: Actor, alice_user: User) -> None:
    row, token = create_token(alice_user, name="ci", actor=replace(alice, auth_method="session"))
    assert token.startswith("sbm_")
    assert ManagementToken.objects.get(digest=tokens.digest(token)) == row
    assert token not in str(ManagementToken.objects.values())


def test_new_person_has_to_change_the_password(alice: Actor) -> None:
    dora = create_user(username="dora", password="one-time", actor=alice)
    assert (dora.must_change_password, dora.is_staff, dora.is_superuser) == (True, True, False)
    change_password(dora, password="a long enough phrase", actor=as_actor(dora))
    dora.refresh_from_db()
    assert not dora.must_change_password
    assert dora.check_password("a long enough phrase")
