"""From a password to tokens, and from each refresh token to the next; one that comes twice ends everything."""

import threading
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.utils import timezone

from audit.models import Event
from controlplane.models import RefreshToken, User, UserSession
from controlplane.throttle import ACCOUNT
from tests.api.conftest import Client
from tests.identity.conftest import PASSWORD

pytestmark = pytest.mark.django_db
SignIn = Callable[..., Any]


def ask(pair: dict[str, Any]) -> int:
    status: int = Client(headers={"Authorization": f"Bearer {pair['access_token']}"}).get("/projects").status_code
    return status


def refresh(pair: dict[str, Any]) -> Any:
    return Client().post("/auth/refresh", {"refresh_token": pair["refresh_token"]})


def test_password_gives_a_pair(dora: User, sign_in: SignIn, events: Callable[[], list[Event]]) -> None:
    response = sign_in(headers={"User-Agent": "deploy-script/1.0"})
    pair = response.json()
    assert (response.status_code, response["Cache-Control"], pair["token_type"]) == (200, "no-store", "Bearer")
    assert ask(pair) == 200
    session = UserSession.objects.get(pk=pair["session_id"])
    assert (session.user, session.kind, session.device, session.address) == (
        dora,
        "api",
        "deploy-script/1.0",
        "127.0.0.1",
    )
    [event] = events()
    assert (event.operation, event.auth_method, event.kind) == ("user.signed_in", "password", "security")
    assert event.detail == {"session": pair["session_id"]}


def test_only_hashes_are_stored(dora: User, sign_in: SignIn) -> None:
    pair = sign_in().json()
    stored = str(list(RefreshToken.objects.values()) + list(UserSession.objects.values()))
    assert pair["refresh_token"] not in stored
    assert pair["access_token"] not in stored


@pytest.mark.parametrize(("name", "password"), [("dora", "wrong"), ("nobody", PASSWORD), ("DORA", PASSWORD)])
def test_wrong_name_and_wrong_password_look_alike(dora: User, sign_in: SignIn, name: str, password: str) -> None:
    response = sign_in(name, password)
    assert (response.status_code, response.json()["code"]) == (401, "bad_credentials")
    assert response["WWW-Authenticate"].startswith("Bearer")
    assert not UserSession.objects.exists()


def test_too_many_failures_are_429_with_the_time_to_wait(dora: User, sign_in: SignIn) -> None:
    for _ in range(ACCOUNT.free):
        assert sign_in(password="wrong").status_code == 401
    response = sign_in()
    assert (response.status_code, response.json()["code"]) == (429, "locked")
    assert 50 < int(response["Retry-After"]) <= 61


def test_console_and_api_count_together(dora: User, sign_in: SignIn) -> None:
    for _ in range(ACCOUNT.free):
        Client().post("http://testserver/console/login/", {"username": "dora", "password": "wrong"}, format="json")
        sign_in(password="wrong")
    assert sign_in().status_code == 429


def test_disabled_person_looks_like_a_wrong_password(dora: User, sign_in: SignIn) -> None:
    User.objects.update(is_active=False)
    assert sign_in().json()["code"] == "bad_credentials"


def test_one_time_password_has_to_be_replaced_first(dora: User, sign_in: SignIn) -> None:
    User.objects.update(must_change_password=True)
    response = sign_in()
    assert (response.status_code, response.json()["code"]) == (403, "one_time_password")
    new = {"username": "dora", "password": PASSWORD, "new_password": "another long phrase"}
    assert Client().post("/auth/password", new).status_code == 204
    assert sign_in(password="another long phrase").status_code == 200


def test_weak_new_password_is_refused_by_name(dora: User) -> None:
    response = Client().post("/auth/password", {"username": "dora", "password": PASSWORD, "new_password": "dora1234"})
    assert (response.status_code, response.json()["errors"][0]["field"]) == (400, "new_password")


def test_refreshing_gives_the_next_pair(dora: User, sign_in: SignIn) -> None:
    pair = sign_in().json()
    for _ in range(5):
        response = refresh(pair)
        assert response.status_code == 200
        assert response.json()["refresh_token"] != pair["refresh_token"]
        pair = response.json()
    assert ask(pair) == 200
    assert UserSession.objects.count() == 1


def test_used_one_ends_the_session(dora: User, sign_in: SignIn, events: Callable[[], list[Event]]) -> None:
    first = sign_in().json()
    thiefs, victims = refresh(first).json(), refresh(first)
    assert (victims.status_code, victims.json()["code"]) == (401, "bad_token")
    assert ask(thiefs) == 401
    assert refresh(thiefs).status_code == 401
    assert UserSession.objects.get().end_reason == "token_reused"
    told = [event for event in events() if event.operation == "session.token_reused"]
    assert [(event.kind, event.target_name, event.status) for event in told] == [("security", "dora", "refused")]


def test_other_sessions_stay(dora: User, sign_in: SignIn) -> None:
    stolen, mine = sign_in().json(), sign_in().json()
    refresh(stolen)
    refresh(stolen)
    assert ask(mine) == 200


@pytest.mark.parametrize("token", ["", "x", "sbr_", "sbr_aaaaaaaa_" + "a" * 43 + "_aaaaaa", "sbm_x", "é", "a.b.c"])
def test_unknown_one_ends_nothing(dora: User, sign_in: SignIn, token: str) -> None:
    pair = sign_in().json()
    response = Client().post("/auth/refresh", {"refresh_token": token})
    assert response.status_code == (400 if not token else 401)
    assert ask(pair) == 200


def test_unused_one_expires(dora: User, sign_in: SignIn) -> None:
    pair = sign_in().json()
    RefreshToken.objects.update(created_at=timezone.now() - timedelta(days=8))
    assert refresh(pair).status_code == 401


def test_session_does_not_outlive_its_end(dora: User, sign_in: SignIn) -> None:
    pair = sign_in().json()
    UserSession.objects.update(expires_at=timezone.now())
    assert refresh(pair).status_code == 401


@pytest.mark.parametrize("which", ["refresh_token", "access_token"])
def test_revoking_ends_the_session_at_once(
    dora: User, sign_in: SignIn, which: str, events: Callable[[], list[Event]]
) -> None:
    pair = sign_in().json()
    assert Client().post("/auth/revoke", {"token": pair[which]}).status_code == 204
    assert ask(pair) == 401
    assert refresh(pair).status_code == 401
    assert events()[-1].operation == "user.signed_out"


def test_revoking_what_nobody_knows_is_well(dora: User, sign_in: SignIn) -> None:
    pair = sign_in().json()
    assert Client().post("/auth/revoke", {"token": "sbr_unknown"}).status_code == 204
    assert ask(pair) == 200


def test_access_token_is_no_refresh_token(dora: User, sign_in: SignIn) -> None:
    pair = sign_in().json()
    assert Client().post("/auth/refresh", {"refresh_token": pair["access_token"]}).status_code == 401
    assert Client(headers={"Authorization": f"Bearer {pair['refresh_token']}"}).get("/projects").status_code == 401


@pytest.mark.parametrize("path", ["/auth/token", "/auth/refresh", "/auth/revoke", "/auth/password"])
def test_unknown_field_is_refused_by_name(db: None, path: str) -> None:
    response = Client().post(path, {"scope": "all"})
    assert response.status_code == 400
    assert {error["field"] for error in response.json()["errors"]} == {"scope"}


@pytest.mark.django_db(transaction=True)
def test_of_two_at_the_same_moment_one_gets_a_pair(dora: User, sign_in: SignIn) -> None:
    pair, together, statuses = sign_in().json(), threading.Barrier(8), []

    def one() -> None:
        together.wait()
        statuses.append(refresh(pair).status_code)
        connection.close()

    threads = [threading.Thread(target=one) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(statuses) == [200] + [401] * 7
    assert UserSession.objects.get().end_reason == "token_reused"
