"""Who is let in: 401 without a good credential, 403 without the right."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.conf import settings
from django.middleware.csrf import get_token
from django.test import RequestFactory
from django.utils import timezone

from audit.models import Event
from controlplane.api.urls import router
from controlplane.models import ManagementToken, Project, User
from tests import factories
from tests.api.conftest import Client

pytestmark = pytest.mark.django_db
OWN = ("sessions", "tokens")  # of which everybody sees their own
NOUNS = sorted({prefix for prefix, views, _ in router.registry if hasattr(views, "list")})


@pytest.mark.parametrize("noun", NOUNS)
def test_nobody_is_asked_who_they_are(anonymous_api: Client, noun: str) -> None:
    response = anonymous_api.get(f"/{noun}")
    assert response.status_code == 401
    assert response["WWW-Authenticate"].startswith("Bearer")
    assert response.json()["code"] == "not_authenticated"


@pytest.mark.parametrize("noun", OWN)
def test_outsider_sees_their_own(charlie_api: Client, noun: str) -> None:
    factories.SessionFactory(user=factories.UserFactory())
    response = charlie_api.get(f"/{noun}")
    assert response.status_code == 200
    assert {row["user"] for row in response.json()["results"]} <= {"charlie"}


@pytest.mark.parametrize("noun", sorted(set(NOUNS) - set(OWN)))
def test_outsider_is_forbidden(charlie_api: Client, noun: str) -> None:
    assert charlie_api.get(f"/{noun}").status_code == 403


@pytest.mark.parametrize("noun", NOUNS)
def test_owner_may_read(alice_api: Client, noun: str) -> None:
    assert alice_api.get(f"/{noun}").status_code == 200


def test_operator_founds_no_project(bob_api: Client, events: Callable[[], list[Event]]) -> None:
    response = bob_api.post("/projects", {"name": "team-b"})
    assert (response.status_code, response.json()["code"]) == (403, "not_allowed")
    assert not Project.objects.exists()
    assert events() == []


@pytest.mark.parametrize(
    "header",
    ["Bearer", "Bearer ", "Bearer sbm_wrong", "Bearer x", "bearer sbm_\x7f", "Bearer sbm_" + "a" * 5000,
     "Bearer sbm_\xe9", "Bearer a b"],
)  # fmt: skip
def test_garbage_is_401(anonymous_api: Client, header: str) -> None:
    response = anonymous_api.get("/models", headers={"Authorization": header})
    assert (response.status_code, response.json()["code"]) == (401, "bad_token")


def test_another_scheme_is_401(anonymous_api: Client) -> None:
    assert anonymous_api.get("/models", headers={"Authorization": "Basic YTpi"}).status_code == 401


@pytest.mark.parametrize(
    "change",
    [{"revoked_at": timezone.now()}, {"expires_at": timezone.now() - timedelta(seconds=1)}],
    ids=["revoked", "expired"],
)
def test_ended_token_is_401(alice_api: Client, change: dict[str, Any]) -> None:
    ManagementToken.objects.update(**change)
    assert alice_api.get("/models").status_code == 401


def test_token_of_an_inactive_user_is_401(alice_api: Client) -> None:
    User.objects.update(is_active=False)
    assert alice_api.get("/models").status_code == 401


def test_malformed_token_costs_no_look_up(
    anonymous_api: Client, django_assert_num_queries: Callable[[int], Any]
) -> None:
    with django_assert_num_queries(0):
        anonymous_api.get("/models", headers={"Authorization": "Bearer sbx_something"})


def test_bad_token_is_not_rescued_by_a_session(alice_user: User) -> None:
    client = Client()
    client.force_login(alice_user)
    assert client.get("/models", headers={"Authorization": "Bearer sbm_wrong"}).status_code == 401


def test_session_may_read(alice_user: User) -> None:
    client = Client()
    client.force_login(alice_user)
    assert client.get("/models").status_code == 200


def test_session_needs_the_csrf_token(alice_user: User) -> None:
    client = Client(enforce_csrf_checks=True)
    client.force_login(alice_user)
    response = client.post("/projects", {"name": "team-a"})
    assert (response.status_code, response.json()["code"]) == (403, "csrf_failed")


def test_session_with_csrf_token_may_change(alice_user: User, events: Callable[[], list[Event]]) -> None:
    client = Client(enforce_csrf_checks=True)
    client.force_login(alice_user)
    client.cookies[settings.CSRF_COOKIE_NAME] = token = get_token(RequestFactory().get("/"))
    assert client.post("/projects", {"name": "team-a"}, headers={"X-CSRFToken": token}).status_code == 201
    assert events()[-1].auth_method == "session"


def test_one_time_password_has_to_be_replaced_first(alice_user: User) -> None:
    User.objects.update(must_change_password=True)
    client = Client()
    client.force_login(alice_user)
    response = client.get("/models")
    assert (response.status_code, response.json()["code"]) == (403, "one_time_password")


def test_register_mode_of_a_project(alice_api: Client) -> None:
    made = alice_api.post("/projects", {"name": "team-a", "register_mode": "metadata"}).json()
    assert made["register_mode"] == "metadata"
    refused = alice_api.patch(f"/projects/{made['id']}", {"register_mode": "whole"})
    assert (refused.status_code, refused.json()["errors"][0]["field"]) == (400, "register_mode")
    assert alice_api.patch(f"/projects/{made['id']}", {"register_mode": "digest"}).json()["register_mode"] == "digest"
