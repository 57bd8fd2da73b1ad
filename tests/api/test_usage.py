"""Usage in the management API: rows by day, sums by one thing, of the projects that one may see."""

from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.utils import timezone

from controlplane.access import scope
from controlplane.models import Project, Usage, User
from controlplane.roles import PERMISSIONS_OF, Permission, Role
from tests import factories
from tests.api.conftest import Client, client_of

pytestmark = pytest.mark.django_db


@pytest.fixture
def projects() -> dict[str, Project]:
    """Alpha used something today and forty days ago, beta today."""
    made = {name: factories.ProjectFactory(name=name) for name in ("alpha", "beta")}
    today = timezone.localdate()
    factories.UsageFactory(project=made["alpha"], key_id="a1", requests=5, cost_micros=7)
    factories.UsageFactory(project=made["alpha"], key_id="a1", requests=100, day=today - timedelta(days=40))
    factories.UsageFactory(project=made["beta"], key_id="b1", requests=20, route="embed", version="e:v2")
    return made


def of_project(name: str, role: Role, project: Project) -> Client:
    user: User = factories.UserFactory(username=name, is_staff=True)
    factories.BindingFactory(user=user, role=role, project=project)
    return client_of(user)


def test_row_is_shown(vera_api: Client, projects: dict[str, Project]) -> None:
    row = vera_api.get("/usage?api_key=b1").json()["results"][0]
    assert (row["project"], row["api_key"], row["route"], row["version"], row["requests"], row["failed"]) == (
        "beta", "b1", "embed", "e:v2", 20, 1,
    )  # fmt: skip
    assert row["day"] == timezone.localdate().isoformat()


@pytest.mark.parametrize(
    ("query", "requests"),
    [("project=alpha", {5, 100}), ("route=embed", {20}), ("version=e:v2", {20}), ("since={today}", {5, 20}),
     ("until={today}&project=alpha", {5, 100}), ("until=2020-01-01", set())],
)  # fmt: skip
def test_filters(vera_api: Client, projects: dict[str, Project], query: str, requests: set[int]) -> None:
    found = vera_api.get("/usage?" + query.format(today=timezone.localdate())).json()["results"]
    assert {row["requests"] for row in found} == requests


@pytest.mark.parametrize(
    "query", ["since=yesterday", "since=11/22/2026", "since=2026-02-30", "by=colour", "limit=1", "by=day&by=route"]
)
def test_what_is_not_understood_is_refused(vera_api: Client, query: str) -> None:
    assert vera_api.get(f"/usage/totals?{query}").status_code == 400


def totals(api: Client, query: str) -> dict[str, int]:
    answer: Any = api.get(f"/usage/totals?{query}")
    assert answer.status_code == 200, answer.content
    return {row["group"]: row["requests"] for row in answer.json()["results"]}


def test_totals_are_of_the_last_month_unless_told(vera_api: Client, projects: dict[str, Project]) -> None:
    assert totals(vera_api, "by=project") == {"beta": 20, "alpha": 5}
    assert totals(vera_api, "by=project&since=2020-01-01") == {"alpha": 105, "beta": 20}


def test_totals_by_day_come_in_their_order(vera_api: Client, projects: dict[str, Project]) -> None:
    today = timezone.localdate()
    assert list(totals(vera_api, "since=2020-01-01").items()) == [
        ((today - timedelta(days=40)).isoformat(), 100), (today.isoformat(), 25),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("by", "groups"), [("api_key", {"a1", "b1"}), ("route", {"chat", "embed"}), ("version", {"m:v1", "e:v2"})]
)
def test_totals_by_one_thing(vera_api: Client, projects: dict[str, Project], by: str, groups: set[str]) -> None:
    assert totals(vera_api, f"by={by}").keys() == groups


def test_project_sees_its_own_only(projects: dict[str, Project]) -> None:
    api = of_project("pia", Role.VIEWER, projects["alpha"])
    assert {row["project"] for row in api.get("/usage").json()["results"]} == {"alpha"}
    assert totals(api, "by=project&since=2020-01-01") == {"alpha": 105}
    assert totals(api, "by=project&project=beta") == {}
    assert api.get(f"/usage/{Usage.objects.get(key_id='b1').pk}").status_code == 404


def test_auditor_sees_none(audrey_api: Client, projects: dict[str, Project]) -> None:
    assert audrey_api.get("/usage").status_code == 403
    assert audrey_api.get("/usage/totals").status_code == 403


def test_database_shows_what_was_told(projects: dict[str, Project]) -> None:
    """The second wall: the same setting as for keys, which the same roles may read."""
    with connection.cursor() as cursor:
        for told, seen in (("", 0), (str(projects["beta"].pk), 1), ("*", 3)):
            cursor.execute("SELECT set_config(%s, %s, true)", [scope.SEEN_KEYS, told])
            assert Usage.objects.count() == seen


def test_who_reads_keys_reads_what_they_used() -> None:
    """Else the wall above would be another one than the look-ups'."""
    for role, held in PERMISSIONS_OF.items():
        assert (Permission.USAGE_READ in held) == (Permission.API_KEY_READ in held), role
