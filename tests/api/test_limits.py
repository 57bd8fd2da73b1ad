"""``/limits``: set for a subject, changed in part, removed with a reason."""

from collections.abc import Callable
from datetime import timedelta

import pytest
from django.utils import timezone

from audit.models import Event
from controlplane.models import BudgetAccount, Limit
from tests.api.conftest import Client
from tests.factories import ApiKeyFactory, LimitFactory, ProjectFactory, RouteFactory, VersionFactory

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


def account(limit: Limit, dimension: str = "tokens_per_day", *, days_ago: int = 0, **sums: int) -> BudgetAccount:
    starts = timezone.now() - timedelta(days=days_ago, hours=1)
    return BudgetAccount.objects.create(
        limit=limit, dimension=dimension, period=f"{days_ago} days ago", starts=starts,
        ends=starts + timedelta(days=1), **sums,
    )  # fmt: skip


def test_budgets_are_set_and_told(alice_api: Client) -> None:
    project = ProjectFactory(name="team-a")
    body = alice_api.post("/limits", {"project": "team-a", "tokens_per_day": 1000, "cost_micros_per_month": 5}).json()
    assert (body["tokens_per_day"], body["cost_micros_per_month"], body["tokens_per_month"]) == (1000, 5, None)
    account(project.limits.get(), spent=300, leased=100)
    account(project.limits.get(), days_ago=2, spent=999)
    (day, month) = alice_api.get(f"/limits/{body['id']}").json()["budgets"]
    assert day.pop("renews_at")
    assert day == {"dimension": "tokens_per_day", "amount": 1000, "spent": 300, "leased": 100, "remaining": 700}
    assert (month["dimension"], month["spent"], month["renews_at"]) == ("cost_micros_per_month", 0, None)


def test_budget_larger_than_can_be_counted_is_refused(alice_api: Client) -> None:
    response = alice_api.post("/limits", {"project": ProjectFactory().name, "tokens_per_day": 10**15 + 1})
    assert response.status_code == 400


def test_limit_with_accounts_can_be_removed(alice_api: Client) -> None:
    limit = LimitFactory(project=ProjectFactory(), tokens_per_day=10)
    account(limit, spent=5)
    assert alice_api.delete(f"/limits/{limit.pk}", {"reason": "over"}).status_code == 204
    assert not BudgetAccount.objects.exists()


def test_prices_of_a_version(alice_api: Client, events: Events) -> None:
    version = VersionFactory()
    response = alice_api.patch(f"/versions/{version.pk}", {"prompt_price_micros": 2_500_000})
    assert response.status_code == 200, response.content
    assert (response.json()["prompt_price_micros"], response.json()["completion_price_micros"]) == (2_500_000, 0)
    assert events()[-1].changes == {"prompt_price_micros": [0, 2_500_000]}
