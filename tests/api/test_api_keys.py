"""Keys over their life: made with their limits, changed, rotated with an overlap, looked after, revoked."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.conf import settings
from django.utils import timezone

from audit.models import Event
from controlplane.models import ApiKey, Limit
from inference.contract import keys
from tests.api.conftest import Client
from tests.factories import ApiKeyFactory, LimitFactory, ProjectFactory, RouteFactory

pytestmark = pytest.mark.django_db
Events = Callable[[], list[Event]]


def digest(token: str) -> str:
    return keys.digest(token, keys.pepper(settings.SECRET_KEY))


def rotate(client: Client, key: ApiKey, **body: Any) -> Any:
    response = client.post(f"/api-keys/{key.pk}/rotate", body)
    key.refresh_from_db()
    return response


def test_made_with_limits_in_one_call(alice_api: Client, events: Events) -> None:
    ProjectFactory(name="default")
    RouteFactory(name="chat")
    limits = [{"requests_per_minute": 60}, {"route": "chat", "concurrency": 2}]
    response = alice_api.post("/api-keys", {"project": "default", "name": "batch", "limits": limits})
    assert response.status_code == 201, response.content
    shown = [(it["route"], it["requests_per_minute"], it["concurrency"]) for it in response.json()["limits"]]
    assert shown == [(None, 60, None), ("chat", None, 2)]
    assert [it.operation for it in events()] == ["api_key.created", "limit.changed", "limit.changed"]
    assert len({it.request_id for it in events()}) == 1


@pytest.mark.parametrize(
    ("limits", "field"),
    [
        ([{}], "limits[0].requests_per_minute"),
        ([{"concurrency": 1}, {"concurrency": -1}], "limits[1].concurrency"),
        ([{"concurrency": "1"}], "limits[0].concurrency"),
        ([{"route": "nowhere", "concurrency": 1}], "limits[0].route"),
        ([{"rpm": 1}], "limits[0].rpm"),
        ([{"reason": "x", "concurrency": 1}], "limits[0].reason"),
    ],
)
def test_wrong_limit_is_named_and_makes_no_key(alice_api: Client, limits: Any, field: str, events: Events) -> None:
    ProjectFactory(name="default")
    response = alice_api.post("/api-keys", {"project": "default", "name": "batch", "limits": limits})
    assert (response.status_code, response.json()["errors"][0]["field"]) == (400, field)
    assert not ApiKey.objects.exists()
    assert not Limit.objects.exists()
    assert events() == []


def test_list_shows_limits(alice_api: Client) -> None:
    limit = LimitFactory(api_key=ApiKeyFactory(), requests_per_minute=7)
    shown = alice_api.get("/api-keys").json()["results"][0]["limits"]
    assert [it["requests_per_minute"] for it in shown] == [limit.requests_per_minute]


def test_change(alice_api: Client, events: Events) -> None:
    key = ApiKeyFactory(name="old")
    body = {"name": "new", "cidrs": ["10.1.2.3/8"], "endpoints": ["chat"]}
    response = alice_api.patch(f"/api-keys/{key.pk}", body)
    assert (response.json()["name"], response.json()["cidrs"]) == ("new", ["10.0.0.0/8"])
    assert events()[0].changes == {
        "name": ["old", "new"],
        "cidrs": [None, ["10.0.0.0/8"]],
        "endpoints": [None, ["chat"]],
    }


def test_change_of_one_thing_leaves_the_others(alice_api: Client) -> None:
    key = ApiKeyFactory(cidrs=["10.0.0.0/8"], expires_at=timezone.now() + timedelta(days=1))
    alice_api.patch(f"/api-keys/{key.pk}", {"name": "new"})
    kept = ApiKey.objects.get()
    assert (kept.cidrs, kept.expires_at, kept.digest) == (key.cidrs, key.expires_at, key.digest)


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"routes": ["nowhere"]}, "routes"),
        ({"expires_at": "2020-01-01T00:00:00Z"}, "expires_at"),
        ({"name": ""}, "name"),
        ({"cidrs": ["x"]}, "cidrs"),
        ({"project": "p"}, "project"),
    ],
)
def test_wrong_change_is_named(alice_api: Client, body: dict[str, Any], field: str) -> None:
    response = alice_api.patch(f"/api-keys/{ApiKeyFactory().pk}", body)
    assert (response.status_code, response.json()["errors"][0]["field"]) == (400, field)


def test_rotation_gives_another_secret_to_the_same_key(alice_api: Client, events: Events) -> None:
    key = ApiKeyFactory()
    old = key.digest
    response = rotate(alice_api, key, reason="quarterly")
    assert response.status_code == 201, response.content
    token = response.json()["key"]
    assert keys.parse(token).id == key.key_id  # type: ignore[union-attr]
    assert (key.digest, key.previous_digest) == (digest(token), old)
    assert timedelta(hours=23) < key.previous_expires_at - timezone.now() <= timedelta(hours=24)
    assert (events()[0].operation, events()[0].reason) == ("api_key.rotated", "quarterly")
    assert "previous_expires_at" in events()[0].changes
    assert token not in str(events()[0].__dict__)


def test_leaked_secret_ends_at_once(alice_api: Client) -> None:
    key = ApiKeyFactory()
    rotate(alice_api, key, overlap_seconds=0)
    assert (key.previous_digest, key.previous_expires_at, key.overlapping) == ("", None, False)


def test_second_rotation_leaves_two_secrets(alice_api: Client) -> None:
    key = ApiKeyFactory()
    first = rotate(alice_api, key).json()["key"]
    second = rotate(alice_api, key).json()["key"]
    assert (key.previous_digest, key.digest) == (digest(first), digest(second))


@pytest.mark.parametrize("overlap", [-1, 30 * 86_400 + 1, "60", 1.5, None, True])
def test_wrong_overlap_is_named(alice_api: Client, overlap: Any) -> None:
    key = ApiKeyFactory()
    response = rotate(alice_api, key, overlap_seconds=overlap)
    assert (response.status_code, response.json()["errors"][0]["field"]) == (400, "overlap_seconds")


@pytest.mark.parametrize("ended", ["revoked_at", "expires_at"])
def test_ended_key_is_not_rotated(alice_api: Client, ended: str) -> None:
    key = ApiKeyFactory(**{ended: timezone.now()})
    response = rotate(alice_api, key)
    assert (response.status_code, response.json()["code"]) == (409, "key_ended")


def test_stale_rotation_rotates_nothing(alice_api: Client) -> None:
    key = ApiKeyFactory()
    response = alice_api.post(f"/api-keys/{key.pk}/rotate", {}, headers={"If-Match": '"old"'})
    assert response.status_code == 412
    assert ApiKey.objects.get().digest == key.digest


def test_use_does_not_move_the_etag(alice_api: Client) -> None:
    path = f"/api-keys/{ApiKeyFactory().pk}"
    etag = alice_api.get(path)["ETag"]
    ApiKey.objects.update(last_used_at=timezone.now())
    response = alice_api.get(path)
    assert response.json()["last_used_at"]
    assert response["ETag"] == etag


def test_unused_keys_are_found(alice_api: Client) -> None:
    never, long_ago, lately = (ApiKeyFactory(name=name) for name in ("never", "long ago", "lately"))
    ApiKey.objects.filter(pk=long_ago.pk).update(last_used_at=timezone.now() - timedelta(days=100))
    ApiKey.objects.filter(pk=lately.pk).update(last_used_at=timezone.now())
    since = (timezone.now() - timedelta(days=90)).strftime("%Y-%m-%dT%H:%M:%SZ")
    found = alice_api.get(f"/api-keys?unused_since={since}&ordering=created_at").json()["results"]
    assert [it["name"] for it in found] == [never.name, long_ago.name]
