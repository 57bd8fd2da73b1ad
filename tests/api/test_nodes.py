"""Machines in the management API: the platform's, for those who hold a role on it."""

from datetime import timedelta

import pytest
from django.utils import timezone

from controlplane.models import Node, User
from controlplane.models.nodes import SILENT_AFTER, NodeState
from controlplane.roles import Role
from tests import factories
from tests.api.conftest import Client, client_of

pytestmark = pytest.mark.django_db


@pytest.fixture
def nodes() -> list[Node]:
    """One that tells of itself, one that has stopped to."""
    late = timezone.now() - SILENT_AFTER - timedelta(seconds=5)
    return [factories.NodeFactory(name="a", replicas=["r-0"]), factories.NodeFactory(name="b", last_seen_at=late)]


def test_one_is_shown(vera_api: Client, nodes: list[Node]) -> None:
    shown = vera_api.get(f"/nodes/{nodes[0].pk}").json()
    assert (shown["name"], shown["state"], shown["replicas"], shown["cpu_cores"]) == ("a", "ready", ["r-0"], 8)


@pytest.mark.parametrize(
    ("query", "names"), [("", "ab"), ("?state=ready", "a"), ("?state=silent", "b"), ("?name=b", "b")]
)
def test_filters(bob_api: Client, nodes: list[Node], query: str, names: str) -> None:
    assert [row["name"] for row in bob_api.get(f"/nodes{query}").json()["results"]] == list(names)


def test_unknown_state_is_refused(bob_api: Client) -> None:
    assert bob_api.get("/nodes?state=asleep").status_code == 400


def test_silence_begins_after_the_last_moment() -> None:
    now = timezone.now()
    node = factories.NodeFactory.build(last_seen_at=now - SILENT_AFTER)
    assert node.state_at(now) == NodeState.READY
    assert node.state_at(now + timedelta(microseconds=1)) == NodeState.SILENT


def test_role_on_a_project_shows_none(nodes: list[Node]) -> None:
    user: User = factories.UserFactory(username="pia", is_staff=True)
    factories.BindingFactory(user=user, role=Role.OWNER, project=factories.ProjectFactory())
    assert client_of(user).get("/nodes").json()["results"] == []
    assert client_of(user).get(f"/nodes/{nodes[0].pk}").status_code == 404


def test_nobody_changes_one(alice_api: Client, nodes: list[Node]) -> None:
    assert alice_api.delete(f"/nodes/{nodes[0].pk}").status_code == 405
    assert alice_api.post("/nodes", {}).status_code == 405
