"""Each action leaves exactly one event that says who, what, why and what changed; a change that is none leaves none."""

from collections.abc import Callable
from typing import Any

import pytest

from audit.models import Event
from audit.operations import Operation
from audit.record import Actor, Target, record
from controlplane.actions.change_deployment import change_deployment
from controlplane.actions.create_api_key import create_api_key
from controlplane.actions.create_deployment import create_deployment
from controlplane.actions.create_model import create_model
from controlplane.actions.create_project import create_project
from controlplane.actions.create_token import create_token
from controlplane.actions.create_user import create_user
from controlplane.actions.create_version import create_version
from controlplane.actions.delete_alert_rule import delete_alert_rule
from controlplane.actions.delete_deployment import delete_deployment
from controlplane.actions.delete_route import delete_route
from controlplane.actions.issue_password import issue_password
from controlplane.actions.retire_version import retire_version
from controlplane.actions.revoke_api_key import revoke_api_key
from controlplane.actions.revoke_token import revoke_token
from controlplane.actions.scale_deployment import scale_deployment
from controlplane.actions.set_route import change_route, create_route
from controlplane.models import User
from tests import factories

pytestmark = pytest.mark.django_db
Events = Callable[[], list[Event]]


@pytest.fixture
def only(events: Events) -> Callable[[], Event]:
    def only_event() -> Event:
        [event] = events()
        return event

    return only_event


def test_who_and_how(alice: Actor, only: Callable[[], Event]) -> None:
    create_project(name="team-a", actor=alice, reason="a new team")
    event = only()
    assert (event.actor_type, event.actor_id, event.actor_name) == ("user", alice.id, "alice")
    assert (event.source, event.auth_method, event.request_id) == ("api", "token", alice.request_id)
    assert (event.operation, event.kind, event.status, event.reason) == (
        "project.created", "management", "ok", "a new team",
    )  # fmt: skip
    assert (event.target_type, event.target_name, event.project) == ("project", "team-a", "team-a")


def test_model_and_version(alice: Actor, events: Events) -> None:
    model = create_model(name="m", project=factories.ProjectFactory(name="team-a"), actor=alice)
    create_version(model, name="v1", source="hf:org/m", actor=alice)
    made = [(event.operation, event.target_name, event.project) for event in events()]
    assert made == [("model.created", "m", "team-a"), ("version.created", "m:v1", "team-a")]
    assert events()[1].detail == {"source": "hf:org/m", "max_model_len": None}


def test_deployment(alice: Actor, only: Callable[[], Event]) -> None:
    create_deployment(name="blue", version=factories.VersionFactory(), engine_args={"seed": 1}, actor=alice)
    event = only()
    assert (event.operation, event.target_name) == ("deployment.created", "blue")
    assert event.detail["engine_args"] == {"seed": 1}


def test_scaling_tells_before_and_after(alice: Actor, only: Callable[[], Event]) -> None:
    scale_deployment(factories.DeploymentFactory(replicas=1), replicas=3, actor=alice)
    assert only().changes == {"replicas": [1, 3]}


def test_change_tells_only_what_changed(alice: Actor, only: Callable[[], Event]) -> None:
    deployment = factories.DeploymentFactory(engine_args={"seed": 1})
    change_deployment(deployment, engine_args={"seed": 2}, drain_seconds=30, actor=alice)
    assert only().changes == {"engine_args": [{"seed": 1}, {"seed": 2}]}


def test_another_version_is_named(alice: Actor, only: Callable[[], Event]) -> None:
    deployment, green = factories.DeploymentFactory(), factories.VersionFactory()
    change_deployment(deployment, version=green, actor=alice)
    assert only().changes == {"version": [str(deployment.version), str(green)]}


def test_route_tells_weights(alice: Actor, events: Events) -> None:
    blue, green = factories.DeploymentFactory(name="blue"), factories.DeploymentFactory(name="green")
    route = create_route(name="chat", targets={blue: 100}, actor=alice)
    change_route(route, targets={blue: 90, green: 10}, actor=alice)
    delete_route(route, actor=alice, reason="over")
    created, changed, deleted = events()
    assert created.detail == {"targets": {"blue": 100}}
    assert changed.changes == {"targets": [{"blue": 100}, {"blue": 90, "green": 10}]}
    assert (deleted.operation, deleted.target_name, deleted.reason) == ("route.deleted", "chat", "over")


def test_key_is_named_and_never_told(alice: Actor, events: Events) -> None:
    key, token = create_api_key(project=factories.ProjectFactory(name="p"), name="batch", actor=alice)
    revoke_api_key(key, actor=alice, reason="leaked")
    assert [event.operation for event in events()] == ["api_key.created", "api_key.revoked"]
    told = str([event.__dict__ for event in events()])
    assert key.key_id in told
    assert token not in told
    assert key.digest not in told


def test_people_are_security(alice: Actor, events: Events) -> None:
    dora = create_user(username="dora", password="a secret word", superuser=True, actor=alice)
    issue_password(dora, password="another secret", actor=alice, reason="lost")
    row, token = create_token(factories.ServiceAccountFactory(), name="ci", actor=alice)
    revoke_token(row, actor=alice, reason="over")
    assert [event.operation for event in events()] == [
        "user.created", "user.password_changed", "token.created", "token.revoked",
    ]  # fmt: skip
    assert {event.kind for event in events()} == {"security"}
    told = str([event.__dict__ for event in events()])
    for secret in ("a secret word", "another secret", token, row.digest):
        assert secret not in told


NOTHING: dict[str, Callable[[Actor], Any]] = {
    "scaled to what it is": lambda actor: scale_deployment(
        factories.DeploymentFactory(replicas=2), replicas=2, actor=actor
    ),
    "changed to what it is": lambda actor: change_deployment(
        factories.DeploymentFactory(drain_seconds=5), drain_seconds=5, actor=actor
    ),
    "routed as it is": lambda actor: change_route(
        (target := factories.TargetFactory(weight=7)).route, targets={target.deployment: 7}, actor=actor
    ),
    "deleted already": lambda actor: delete_deployment(
        factories.DeploymentFactory(deleted_at="2026-01-01T00:00:00Z"), actor=actor, reason="r"
    ),
    "retired already": lambda actor: retire_version(
        factories.VersionFactory(state="retired"), actor=actor, reason="r"
    ),
    "revoked already": lambda actor: revoke_api_key(
        factories.ApiKeyFactory(revoked_at="2026-01-01T00:00:00Z"), actor=actor, reason="r"
    ),
}  # fmt: skip


@pytest.mark.parametrize("what", NOTHING)
def test_no_change_leaves_no_event(what: str, alice: Actor, events: Events) -> None:
    NOTHING[what](alice)
    assert events() == []


def test_unregistered_operation_fails(alice: Actor) -> None:
    with pytest.raises(ValueError, match="made.up"):
        record("made.up", actor=alice, target=Target("x", "", ""))  # type: ignore[arg-type]


def test_writer_counts_without_a_gap(alice: Actor, events: Events) -> None:
    for number in range(3):
        create_project(name=f"p{number}", actor=alice)
    numbers = [event.writer_seq for event in events()]
    assert numbers == list(range(numbers[0], numbers[0] + 3))
    assert len({event.writer for event in events()}) == 1


def test_event_outlives_its_actor(alice: Actor, only: Callable[[], Event]) -> None:
    create_project(name="p", actor=alice)
    User.objects.all().delete()
    assert only().actor_name == "alice"


def test_every_operation_is_noun_and_verb() -> None:
    assert all(operation.value.count(".") == 1 for operation in Operation)


def test_what_is_deleted_is_told_as_it_was(alice: Actor, events: Events) -> None:
    route = factories.RouteFactory.create(affinity_header="x-user")
    factories.TargetFactory.create(route=route, deployment=factories.DeploymentFactory(name="blue"), weight=7)
    rule = factories.AlertRuleFactory.create(threshold=3)
    delete_route(route, actor=alice, reason="moved")
    delete_alert_rule(rule, actor=alice, reason="too loud")
    of_route, of_rule = events()
    assert of_route.changes == {"targets": [{"blue": 7}, None], "affinity_header": ["x-user", None]}
    assert of_rule.changes is not None
    assert of_rule.changes["threshold"] == [3, None]
