"""Pages, filters, search and ordering. What a list costs stands in tests/architecture/test_query_counts.py."""

from typing import Any

import pytest

from tests import factories
from tests.api.conftest import Client

pytestmark = pytest.mark.django_db


def names(response: Any) -> list[str]:
    assert response.status_code == 200, response.content
    return [row["name"] for row in response.json()["results"]]


def walk(client: Client, path: str) -> list[str]:
    found = []
    while path:
        response = client.get(path)
        found += names(response)
        path = response.json()["next"]
    return found


@pytest.fixture
def five() -> list[str]:
    return [factories.ModelFactory(name=f"m{number}").name for number in range(5)]


def test_page_has_three_parts(alice_api: Client) -> None:
    assert alice_api.get("/models").json() == {"next": None, "previous": None, "results": []}


@pytest.mark.parametrize("limit", [1, 2, 3, 5, 200])
@pytest.mark.parametrize("ordering", ["name", "created_at"])
def test_pages_show_each_row_once(alice_api: Client, five: list[str], limit: int, ordering: str) -> None:
    assert walk(alice_api, f"/models?limit={limit}&ordering={ordering}") == five
    assert walk(alice_api, f"/models?limit={limit}&ordering=-{ordering}") == five[::-1]


def test_way_back_leads_to_the_first_page(alice_api: Client, five: list[str]) -> None:
    first = alice_api.get("/models?limit=2")
    third = alice_api.get(alice_api.get(first.json()["next"]).json()["next"])
    assert names(third) == five[4:]
    second = alice_api.get(third.json()["previous"])
    assert names(second) == five[2:4]
    again = alice_api.get(second.json()["previous"])
    assert names(again) == five[:2]
    assert again.json()["previous"] is None
    assert again.json()["next"]


def test_equal_keys_are_not_lost(alice_api: Client) -> None:
    for _ in range(5):
        factories.ApiKeyFactory(name="same")
    response = alice_api.get("/api-keys?limit=2&ordering=name")
    found = []
    while True:
        found += [row["id"] for row in response.json()["results"]]
        if not response.json()["next"]:
            break
        response = alice_api.get(response.json()["next"])
    assert len(set(found)) == len(found) == 5


def test_new_rows_do_not_shift_pages(alice_api: Client, five: list[str]) -> None:
    first = alice_api.get("/models?limit=2")
    factories.ModelFactory(name="a-new-one")
    assert names(alice_api.get(first.json()["next"])) == five[2:4]


def test_cursor_keeps_the_filters(alice_api: Client, five: list[str]) -> None:
    factories.ModelFactory(name="other")
    assert walk(alice_api, "/models?limit=2&search=m") == five


def test_cursor_of_another_ordering_is_refused(alice_api: Client, five: list[str]) -> None:
    link = alice_api.get("/models?limit=2").json()["next"]
    assert alice_api.get(link + "&ordering=-name").status_code == 400


def test_tampered_cursor_is_refused(alice_api: Client, five: list[str]) -> None:
    link = alice_api.get("/models?limit=2").json()["next"]
    response = alice_api.get(link.replace("cursor=", "cursor=A"))
    assert (response.status_code, response.json()["code"]) == (404, "unknown_cursor")


def test_filters(alice_api: Client) -> None:
    project = factories.ProjectFactory(name="team-a")
    factories.ModelFactory(name="mine", project=project)
    factories.ModelFactory(name="free")
    assert names(alice_api.get("/models?project=team-a")) == ["mine"]
    assert names(alice_api.get("/models?name=free")) == ["free"]
    assert names(alice_api.get("/models?search=FRE")) == ["free"]


def test_deployments_by_state(alice_api: Client) -> None:
    ready = factories.DeploymentFactory()
    ready.status.state = "ready"
    ready.status.save()
    factories.DeploymentFactory()
    assert names(alice_api.get("/deployments?state=ready")) == [ready.name]


def test_routes_of_a_deployment(alice_api: Client) -> None:
    target = factories.TargetFactory()
    factories.TargetFactory()
    assert names(alice_api.get(f"/routes?deployment={target.deployment.name}")) == [target.route.name]


@pytest.mark.parametrize("term", ["BATCH", "batch", "ÄPF", "100%", "a_b", "carol"])
def test_keys_by_any_of_their_texts(alice_api: Client, term: str) -> None:
    found = factories.ApiKeyFactory(name="Batch äpfel 100% a_b", created_by="carol")
    factories.ApiKeyFactory(name="other 1000 aXb", created_by="dora")
    assert names(alice_api.get("/api-keys", {"search": term})) == [found.name]
    assert names(alice_api.get("/api-keys", {"search": found.key_id.lower()})) == [found.name]


def test_usable_keys(alice_api: Client) -> None:
    good = factories.ApiKeyFactory()
    gone = factories.ApiKeyFactory(revoked_at="2026-01-01T00:00:00Z")
    assert names(alice_api.get("/api-keys?usable=true")) == [good.name]
    assert names(alice_api.get("/api-keys?usable=false")) == [gone.name]


def test_events_between_two_times(alice_api: Client) -> None:
    alice_api.post("/projects", {"name": "team-a"})
    assert len(alice_api.get("/audit/events?since=2020-01-01T00:00:00%2B08:00").json()["results"]) == 1
    assert alice_api.get("/audit/events?until=2020-01-01T00:00:00Z").json()["results"] == []
    assert len(alice_api.get("/audit/events?operation=project.created&actor_name=alice").json()["results"]) == 1


def test_events_in_pages(alice_api: Client) -> None:
    for number in range(5):
        alice_api.post("/projects", {"name": f"p{number}"})
    first = alice_api.get("/audit/events?limit=3").json()
    second = alice_api.get(first["next"]).json()
    assert [row["target_name"] for row in first["results"] + second["results"]] == ["p4", "p3", "p2", "p1", "p0"]


@pytest.mark.parametrize("offset", ["%2B14:01", "-16:08", "-23:59"])
def test_offset_that_no_zone_has_is_refused(alice_api, offset):
    answer = alice_api.get(f"/api-keys?unused_since=2472-03-27T10:36:18{offset}")
    assert (answer.status_code, "unused_since" in answer.content.decode()) == (400, True)
