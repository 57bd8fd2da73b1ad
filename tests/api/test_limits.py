"""``/limits``: set for a subject, changed in part, removed with a reason."""

from collections.abc import Callable

import pytest

from audit.models import Event
from controlplane.models import Limit
from tests.api.conftest import Client
from tests.factories import ApiKeyFactory, LimitFactory, ProjectFactory, RouteFactory

pytestmark = pytest.mark.django_db
Events = Callable[[], list[Event]]


def test_of_a_key_by_its_public_part(alice_api: Client) -> None:
    key = ApiKeyFactory()
    response = alice_api.post("/limits", {"api_key": key.key_id, "requests_per_minute": 60})
    assert response.status_code == 201, response.content
    body = response.json()
    assert (body["api_key"], body["project"], body["route"]) == (key.key_id, None, None)
    assert (body["requests_per_minute"], body["tokens_per_minute"]) == (60, None)


def test_of_a_project_on_a_route(alice_api: Client) -> None:
    ProjectFactory(name="team-a")
    RouteFactory(name="smol")
    body = alice_api.post("/limits", {"project": "team-a", "route": "smol", "concurrency": 0}).json()
    assert (body["project"], body["route"], body["concurrency"]) == ("team-a", "smol", 0)


def test_second_one_takes_the_place_of_the_first(alice_api: Client) -> None:
    RouteFactory(name="smol")
    for number in (1, 2):
        alice_api.post("/limits", {"route": "smol", "concurrency": number})
    assert Limit.objects.get().concurrency == 2


def test_one_number_is_changed(alice_api: Client, events: Events) -> None:
    limit = LimitFactory(project=ProjectFactory(), concurrency=3)
    response = alice_api.patch(f"/limits/{limit.pk}", {"concurrency": None, "reason": "relaxed"})
    assert response.status_code == 200, response.content
    assert (response.json()["requests_per_minute"], response.json()["concurrency"]) == (60, None)
    assert (events()[-1].operation, events()[-1].reason) == ("limit.changed", "relaxed")


def test_last_number_is_removed_by_delete_only(alice_api: Client) -> None:
    limit = LimitFactory(project=ProjectFactory())
    assert alice_api.patch(f"/limits/{limit.pk}", {"requests_per_minute": None}).status_code == 400


def test_stale_change_is_refused(alice_api: Client) -> None:
    limit = LimitFactory(project=ProjectFactory())
    response = alice_api.patch(f"/limits/{limit.pk}", {"concurrency": 1}, headers={"If-Match": '"old"'})
    assert response.status_code == 412


def test_removed_with_a_reason(alice_api: Client, events: Events) -> None:
    limit = LimitFactory(project=ProjectFactory())
    assert alice_api.delete(f"/limits/{limit.pk}").status_code == 400
    assert alice_api.delete(f"/limits/{limit.pk}", headers={"X-Reason": "over"}).status_code == 204
    assert not Limit.objects.exists()
    assert events()[-1].operation == "limit.removed"


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"concurrency": 1},
        {"route": "smol"},
        {"route": "smol", "concurrency": -1},
        {"route": "smol", "concurrency": "1"},
        {"route": "nowhere", "concurrency": 1},
        {"route": "smol", "concurrency": 10**12},
    ],
    ids=str,
)
def test_nonsense_is_refused(alice_api: Client, body: dict[str, object]) -> None:
    RouteFactory(name="smol")
    assert alice_api.post("/limits", body).status_code == 400
    assert not Limit.objects.exists()


def test_list_by_subject(alice_api: Client) -> None:
    key = ApiKeyFactory()
    LimitFactory(api_key=key)
    LimitFactory(project=ProjectFactory(name="team-a"))
    assert len(alice_api.get("/limits").json()["results"]) == 2
    for query in (f"api_key={key.key_id}", "project=team-a"):
        assert len(alice_api.get(f"/limits?{query}").json()["results"]) == 1
