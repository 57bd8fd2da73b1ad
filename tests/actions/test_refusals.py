"""What does not fit is refused with the field's name, and changes nothing."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from audit.models import Event
from audit.record import Actor
from controlplane.actions.change_deployment import change_deployment
from controlplane.actions.change_password import change_password
from controlplane.actions.create_api_key import create_api_key
from controlplane.actions.create_deployment import create_deployment
from controlplane.actions.create_model import create_model
from controlplane.actions.create_project import create_project
from controlplane.actions.create_user import create_user
from controlplane.actions.create_version import create_version
from controlplane.actions.delete_deployment import delete_deployment
from controlplane.actions.retire_version import retire_version
from controlplane.actions.scale_deployment import scale_deployment
from controlplane.actions.set_route import change_route, create_route
from controlplane.errors import Conflict, Invalid
from controlplane.models import Deployment, ManagementToken, ModelVersion, Project, Route, RouteTarget, User
from tests import factories
from tests.conftest import as_actor

pytestmark = pytest.mark.django_db
EXTERNAL = {"backend": "external", "flavour": "external"}


@pytest.fixture(autouse=True)
def no_event(request: pytest.FixtureRequest, events: Callable[[], list[Event]]) -> Any:
    """A refusal is not an event of the register's."""
    yield
    assert events() == []


@pytest.mark.parametrize("name", ["", "A", "a_b", "-a", "a-", "x" * 53, "a\n", "ä", "a b", "a/b", "ɑ"])
def test_bad_name(alice: Actor, name: str) -> None:
    with pytest.raises(Invalid) as refused:
        create_project(name=name, actor=alice)
    assert refused.value.field == "name"
    assert not Project.objects.exists()


@pytest.mark.parametrize("name", ["", " chat", "chat ", "a b", "x" * 129, "чат", "a\n", "/a", "ａ"])
def test_bad_public_name(alice: Actor, name: str) -> None:
    with pytest.raises(Invalid) as refused:
        create_route(name=name, targets={}, actor=alice)
    assert refused.value.field == "name"


@pytest.mark.parametrize(
    ("make", "create"),
    [
        (factories.ProjectFactory, create_project),
        (factories.ModelFactory, create_model),
        (factories.RouteFactory, lambda **fields: create_route(targets={}, **fields)),
        (factories.DeploymentFactory, lambda **fields: create_deployment(version=factories.VersionFactory(), **fields)),
    ],
)
def test_taken_name(alice: Actor, make: Any, create: Any) -> None:
    make(name="taken")
    with pytest.raises(Conflict) as refused:
        create(name="taken", actor=alice)
    assert refused.value.code == "already_exists"


def test_version_name_is_taken_in_its_model_only(alice: Actor) -> None:
    version = factories.VersionFactory(name="v1")
    with pytest.raises(Conflict):
        create_version(version.model, name="v1", source="/x", actor=alice)


@pytest.mark.parametrize("source", ["", "x", "../x", "http://x", "ftp:x", "HF:x"])
def test_bad_source(alice: Actor, source: str) -> None:
    with pytest.raises(Invalid) as refused:
        create_version(factories.ModelFactory(), name="v", source=source, actor=alice)
    assert refused.value.field == "source"
    assert not ModelVersion.objects.exists()


def test_retired_version_is_not_deployed(alice: Actor) -> None:
    with pytest.raises(Invalid) as refused:
        create_deployment(name="d", version=factories.VersionFactory(state="retired"), actor=alice)
    assert refused.value.field == "version"


def test_running_version_is_not_retired(alice: Actor) -> None:
    version = factories.DeploymentFactory().version
    with pytest.raises(Conflict):
        retire_version(version, actor=alice, reason="r")
    version.refresh_from_db()
    assert version.state == "available"


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"backend": "external"}, "backend"),
        ({"flavour": "external"}, "backend"),
        ({"backend": "moon"}, "backend"),
        ({"flavour": "moon"}, "flavour"),
        (EXTERNAL, "external_url"),
        (EXTERNAL | {"external_url": "http://user:pass@h"}, "external_url"),
        (EXTERNAL | {"external_url": "file:///etc/passwd"}, "external_url"),
        (EXTERNAL | {"external_url": "http://h:8000/v2"}, "external_url"),
        (EXTERNAL | {"external_url": "http://h\t:80"}, "external_url"),
        (EXTERNAL | {"external_url": "http://h", "replicas": 2}, "replicas"),
        ({"external_url": "http://h"}, "external_url"),
        ({"replicas": 65}, "replicas"),
        ({"replicas": -1}, "replicas"),
        ({"drain_seconds": 40_000}, "drain_seconds"),
        ({"engine_args": {"--seed": 1}}, "engine_args"),
        ({"engine_args": {"port": 1}}, "engine_args"),
        ({"engine_args": {"seed": None}}, "engine_args"),
        ({"engine_args": {"a": "x\ny"}}, "engine_args"),
        ({"engine_args": {"a": {"b": ["\x00"]}}}, "engine_args"),
        ({"engine_args": {"a": float("nan")}}, "engine_args"),
        ({"engine_args": {"a": "\ud800"}}, "engine_args"),
        ({"engine_args": ["x"]}, "engine_args"),
        ({"engine_env": {"PATH": "/"}}, "engine_env"),
        ({"engine_env": {"LD_PRELOAD": "/"}}, "engine_env"),
        ({"engine_env": {"A": 1}}, "engine_env"),
        ({"engine_env": {"lower": "x"}}, "engine_env"),
    ],
)
def test_bad_deployment(alice: Actor, fields: dict[str, Any], field: str) -> None:
    with pytest.raises(Invalid) as refused:
        create_deployment(name="d", version=factories.VersionFactory(), actor=alice, **fields)
    assert refused.value.field == field
    assert not Deployment.objects.exists()


def test_bad_change_keeps_the_old(alice: Actor) -> None:
    deployment = factories.DeploymentFactory(engine_args={"seed": 1})
    with pytest.raises(Invalid):
        change_deployment(deployment, engine_args={"port": 1}, actor=alice)
    deployment.refresh_from_db()
    assert deployment.engine_args == {"seed": 1}


def test_unchangeable_field_is_a_mistake_of_ours(alice: Actor) -> None:
    with pytest.raises(TypeError, match="name"):
        change_deployment(factories.DeploymentFactory(), name="other", actor=alice)


def test_external_engine_is_not_scaled(alice: Actor) -> None:
    deployment = factories.DeploymentFactory(external_url="http://h", **EXTERNAL)
    with pytest.raises(Invalid):
        scale_deployment(deployment, replicas=2, actor=alice)


def test_routed_deployment_is_not_deleted(alice: Actor) -> None:
    target = factories.TargetFactory()
    with pytest.raises(Conflict) as refused:
        delete_deployment(target.deployment, actor=alice, reason="r")
    assert refused.value.code == "in_use"
    assert target.route.name in refused.value.message


@pytest.mark.parametrize("weight", [-1, 1001])
def test_bad_weight_leaves_the_route_as_it_was(alice: Actor, weight: int) -> None:
    target = factories.TargetFactory(weight=5)
    with pytest.raises(Invalid) as refused:
        change_route(target.route, targets={factories.DeploymentFactory(): weight}, actor=alice)
    assert refused.value.field == "weight"
    assert RouteTarget.objects.get() == target


def test_deployment_in_deletion_is_not_routed_to(alice: Actor) -> None:
    gone = factories.DeploymentFactory(deleted_at=timezone.now())
    with pytest.raises(Invalid):
        create_route(name="chat", targets={gone: 1}, actor=alice)
    assert not Route.objects.exists()


def test_deployment_of_another_project_is_not_routed_to(alice: Actor) -> None:
    theirs = factories.DeploymentFactory(project=factories.ProjectFactory())
    with pytest.raises(Invalid):
        create_route(name="chat", targets={theirs: 1}, project=factories.ProjectFactory(), actor=alice)


def test_key_for_a_route_of_another_project(alice: Actor) -> None:
    factories.RouteFactory(name="theirs", project=factories.ProjectFactory())
    with pytest.raises(Invalid) as refused:
        create_api_key(project=factories.ProjectFactory(), name="k", routes=["theirs"], actor=alice)
    assert refused.value.field == "routes"


def test_key_that_has_ended_already(alice: Actor) -> None:
    with pytest.raises(Invalid):
        create_api_key(
            project=factories.ProjectFactory(), name="k", expires_at=timezone.now() - timedelta(seconds=1), actor=alice
        )


def test_taken_username(alice: Actor) -> None:
    with pytest.raises(Conflict):
        create_user(username="alice", password="p", actor=alice)


@pytest.mark.parametrize("password", ["", "short", "password1234", "charlie@example.com"])
def test_weak_password(charlie_user: User, password: str) -> None:
    charlie_user.email = "charlie@example.com"
    with pytest.raises(Invalid):
        change_password(charlie_user, password=password, actor=as_actor(charlie_user))
    assert not ManagementToken.objects.exists()
