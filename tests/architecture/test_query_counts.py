"""Every list of the management API costs the same number of queries whatever its page holds: `query_counts.json`.

A new list fails here until it has a way to fill it below and its number in the file.
"""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from audit.models import Hold
from audit.operations import Operation
from audit.record import Target, record
from controlplane import actors
from controlplane.api.urls import router
from controlplane.models import ManagementToken, RoleBinding
from tests import factories
from tests.api.conftest import Client, alice_api  # noqa: F401 - the fixture
from tests.audit import seals

pytestmark = pytest.mark.django_db
BASELINE: dict[str, int] = json.loads((Path(__file__).parent / "query_counts.json").read_text())
MANY = 25


def _sealed() -> Any:
    record(Operation.PROJECT_CREATED, actor=actors.SYSTEM, target=Target("project", "1", "p"))
    return seals.seal()


MAKE: dict[str, Callable[[], Any]] = {
    "models": lambda: factories.ModelFactory(project=factories.ProjectFactory()),
    "versions": lambda: factories.VersionFactory(model__project=factories.ProjectFactory()),
    "deployments": lambda: factories.DeploymentFactory(project=factories.ProjectFactory()),
    "replicas": factories.ReplicaFactory,
    "routes": lambda: factories.TargetFactory(route__project=factories.ProjectFactory()),
    "api-keys": lambda: factories.LimitFactory(
        api_key=factories.ApiKeyFactory(), route=factories.RouteFactory(project=factories.ProjectFactory())
    ),
    "usage": factories.UsageFactory,
    "nodes": lambda: factories.NodeFactory(replicas=["a-0"], gpus=[{"name": "g"}]),
    "limits": lambda: factories.LimitFactory(api_key=factories.ApiKeyFactory(), route=factories.RouteFactory()),
    "projects": factories.ProjectFactory,
    "users": factories.UserFactory,
    "role-bindings": lambda: RoleBinding.objects.create(
        user=factories.UserFactory(), role="viewer", project=factories.ProjectFactory()
    ),
    "tokens": lambda: ManagementToken.objects.create(
        service_account=(owner := factories.ServiceAccountFactory(project=factories.ProjectFactory())),
        name="t",
        digest=f"digest of {owner.pk}"[:64],
    ),
    "sessions": factories.SessionFactory,
    "service-accounts": lambda: factories.ServiceAccountFactory(project=factories.ProjectFactory()),
    "suspensions": factories.SuspensionFactory,
    "audit/exports": lambda: factories.ExportFactory(project=factories.ProjectFactory()),
    "alert-rules": lambda: factories.AlertRuleFactory(
        project=(project := factories.ProjectFactory()), deployment=factories.DeploymentFactory(project=project)
    ),
    "alerts": lambda: factories.AlertFactory(rule__project=factories.ProjectFactory()),
    "silences": lambda: factories.SilenceFactory(rule=factories.AlertRuleFactory()),
    "channels": lambda: factories.ChannelFactory(project=factories.ProjectFactory()),
    "deliveries": factories.DeliveryFactory,
    "audit/holds": lambda: Hold.objects.create(
        of="project", name=factories.ProjectFactory().name, reason="r", placed_by="p"
    ),
    "audit/seals": _sealed,
    "audit/events": lambda: record(Operation.PROJECT_CREATED, actor=actors.SYSTEM, target=Target("project", "1", "p")),
}
PATHS = sorted(prefix for prefix, view, _name in router.registry if hasattr(view, "list") and view.pagination_class)


def queries(client: Client, path: str, rows: int) -> int:
    with CaptureQueriesContext(connection) as captured:
        response = client.get(path)
    assert response.status_code == 200, response.content
    assert len(response.json()["results"]) >= rows, "the list was not filled"
    return len(captured)


@pytest.mark.parametrize("noun", PATHS)
def test_list_costs_what_the_file_says(alice_api: Client, noun: str) -> None:  # noqa: F811
    for _ in range(MANY):
        MAKE[noun]()
    few, many = queries(alice_api, f"/{noun}?limit=2", 2), queries(alice_api, f"/{noun}?limit=200", MANY)
    assert few == many, "the number of queries grows with the page"
    assert many == BASELINE.get(noun), f'"{noun}": {many} belongs into query_counts.json, if that is meant'


def test_second_page_costs_no_more(alice_api: Client) -> None:  # noqa: F811
    for _ in range(3):
        factories.ModelFactory()
    following = alice_api.get("/models?limit=2").json()["next"]
    assert queries(alice_api, following, 1) == BASELINE["models"]


def test_replicas_of_a_deployment(alice_api: Client) -> None:  # noqa: F811
    deployment = factories.DeploymentFactory()
    for ordinal in range(MANY):
        factories.ReplicaFactory(deployment=deployment, ordinal=ordinal)
    path = f"/deployments/{deployment.pk}/replicas"
    few, many = queries(alice_api, f"{path}?limit=2", 2), queries(alice_api, f"{path}?limit=200", MANY)
    assert few == many == BASELINE["deployments/{id}/replicas"]


def test_file_names_no_list_that_is_gone() -> None:
    assert set(BASELINE) == {*PATHS, "deployments/{id}/replicas"}
