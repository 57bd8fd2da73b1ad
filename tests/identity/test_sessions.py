"""Where a person is signed in: listed, ended one by one or all at once, and gone with the next request."""

import re
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.conf import settings
from django.db import connection
from django.test import Client as Browser
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from audit.models import Event
from controlplane.access.standing import standing_of
from controlplane.models import ApiKey, BrowserSession, User, UserSession
from controlplane.views import playground_key
from tests import factories
from tests.api.conftest import Client, client_of
from tests.conftest import as_actor
from tests.console.pages import url
from tests.identity.conftest import PASSWORD

pytestmark = pytest.mark.django_db
NEW = "an entirely different phrase"
Events = Callable[[], list[Event]]


def browser(name: str = "dora", agent: str = "Firefox") -> Browser:
    found = Browser(headers={"User-Agent": agent})
    assert found.post(url("login"), {"username": name, "password": PASSWORD}).status_code == 302
    return found


def is_in(client: Browser) -> bool:
    return bool(client.get(url("index")).status_code == 200)


def bearer(pair: dict[str, Any]) -> Client:
    return Client(headers={"Authorization": f"Bearer {pair['access_token']}"})


def test_signing_in_begins_a_session(dora: User) -> None:
    browser(agent="Firefox/140")
    session = UserSession.objects.get()
    assert (session.user, session.kind, session.device, session.address) == (
        dora,
        "console",
        "Firefox/140",
        "127.0.0.1",
    )
    assert timedelta(hours=11) < session.expires_at - timezone.now() <= timedelta(hours=12)


def test_signing_out_ends_it(dora: User, events: Events) -> None:
    client = browser()
    client.post(url("logout"))
    session = UserSession.objects.get()
    assert session.end_reason == "signed_out"
    assert not BrowserSession.objects.filter(user_session=session).exists()
    assert events()[-1].operation == "user.signed_out"


def test_signing_in_again_ends_the_one_before(dora: User) -> None:
    client = browser()
    client.post(url("login"), {"username": "dora", "password": PASSWORD})
    assert [session.end_reason for session in UserSession.objects.order_by("created_at")] == ["signed_out", ""]


def test_another_person_in_the_same_browser_ends_the_first(dora: User) -> None:
    emil = User.objects.create(username="emil", password=dora.password, is_staff=True)
    client = browser()
    client.post(url("login"), {"username": "emil", "password": PASSWORD})
    assert UserSession.objects.get(user=dora).ended_at
    assert UserSession.objects.get(user=emil).ended_at is None


def test_cookie_is_not_in_the_database(dora: User) -> None:
    client = browser()
    session = client.session
    session["note"] = "shown to nobody"
    session.save()
    cookie = client.cookies[settings.SESSION_COOKIE_NAME].value
    with connection.cursor() as cursor:
        cursor.execute("SELECT row_to_json(it)::text FROM controlplane_browsersession it")
        stored = str(cursor.fetchall())
    assert cookie not in stored
    assert "shown to nobody" not in stored
    assert "_auth_user" not in stored
    assert client.session["note"] == "shown to nobody"


def test_row_of_another_browser_opens_nothing(dora: User) -> None:
    """Whoever may write to the table still cannot put one session's content under another's cookie."""
    theirs, mine = browser(), browser()
    rows = list(BrowserSession.objects.order_by("user_session__created_at"))
    BrowserSession.objects.filter(pk=rows[1].pk).update(session_data=rows[0].session_data)
    assert is_in(theirs)
    assert not is_in(mine)


def test_unknown_cookie_is_nobody(db: None) -> None:
    client = Browser()
    client.cookies[settings.SESSION_COOKIE_NAME] = "a" * 32
    assert not is_in(client)


def test_page_asks_for_the_session_once(dora: User) -> None:
    client = browser()
    with CaptureQueriesContext(connection) as asked:
        client.get(url("password_change"))
    assert len([query for query in asked if "session" in query["sql"]]) == 1


def test_use_is_noted_to_the_minute(dora: User) -> None:
    client = browser()
    before = UserSession.objects.get().last_seen_at
    is_in(client)
    assert UserSession.objects.get().last_seen_at == before
    UserSession.objects.update(last_seen_at=before - timedelta(minutes=2))
    client.get(url("index"), REMOTE_ADDR="192.0.2.5")
    session = UserSession.objects.get()
    assert session.last_seen_at > before
    assert session.address == "192.0.2.5"


# -- at the management API


def test_own_sessions_are_listed(dora: User, sign_in: Callable[..., Any]) -> None:
    browser(agent="Firefox/140")
    factories.SessionFactory()
    rows = (
        bearer(sign_in(headers={"User-Agent": "script"}).json()).get("/sessions?user=dora&live=true").json()["results"]
    )
    assert [(row["kind"], row["device"]) for row in rows] == [("api", "script"), ("console", "Firefox/140")]


def test_onlooker_sees_their_own_only(bob_user: User) -> None:
    mine, theirs = factories.SessionFactory(user=bob_user), factories.SessionFactory()
    client = client_of(bob_user)
    assert [row["id"] for row in client.get("/sessions").json()["results"]] == [str(mine.pk)]
    assert client.get(f"/sessions/{theirs.pk}").status_code == 404
    assert client.delete(f"/sessions/{theirs.pk}", headers={"X-Reason": "r"}).status_code == 404


def test_one_session_is_ended(dora: User, sign_in: Callable[..., Any], events: Events) -> None:
    lost, pair = browser(), sign_in().json()
    session = UserSession.objects.get(kind="console")
    answer = bearer(pair).delete(f"/sessions/{session.pk}", headers={"X-Reason": "lost laptop"})
    assert (answer.status_code, answer.json()["end_reason"]) == (200, "revoked")
    assert not is_in(lost)
    assert bearer(pair).get("/sessions").status_code == 200
    assert (events()[-1].operation, events()[-1].reason) == ("session.ended", "lost laptop")


def test_all_others_are_ended(dora: User, sign_in: Callable[..., Any]) -> None:
    others = [browser(), browser()]
    other, pair = sign_in().json(), sign_in().json()
    answer = bearer(pair).delete("/sessions/others", headers={"X-Reason": "r"})
    assert answer.json() == {"ended": 3}
    assert not any(map(is_in, others))
    assert bearer(other).get("/sessions").status_code == 401
    assert bearer(pair).get("/sessions").status_code == 200


def test_owner_ends_all_of_somebody(dora: User, alice_api: Client, events: Events) -> None:
    theirs = browser()
    answer = alice_api.delete(f"/users/{dora.pk}/sessions", headers={"X-Reason": "left the company"})
    assert (answer.status_code, answer.json()) == (200, {"ended": 1})
    assert not is_in(theirs)
    assert (events()[-1].actor_name, events()[-1].target_name) == ("alice", "dora")


def test_onlooker_may_not(dora: User, bob_api: Client) -> None:
    theirs = browser()
    assert bob_api.delete(f"/users/{dora.pk}/sessions", headers={"X-Reason": "r"}).status_code in {403, 404}
    assert is_in(theirs)


# -- passwords


def test_new_password_ends_the_others(dora: User, sign_in: Callable[..., Any]) -> None:
    mine, other, pair = browser(), browser(), sign_in().json()
    form = {"old_password": PASSWORD, "new_password1": NEW, "new_password2": NEW}
    assert mine.post(url("password_change"), form).status_code == 302
    assert is_in(mine)
    assert not is_in(other)
    assert bearer(pair).get("/sessions").status_code == 401
    assert sorted(UserSession.objects.values_list("end_reason", flat=True)) == ["", *["password_changed"] * 2]


def test_issued_password_ends_all(dora: User, alice_console: Browser) -> None:
    theirs = browser()
    alice_console.post(url("controlplane_user_do_issue_password", dora.pk), {"reason": "lost"})
    assert not is_in(theirs)
    assert UserSession.objects.get(user=dora).end_reason == "password_changed"


# -- people who are switched off


def test_disabled_person_loses_everything(
    dora: User, alice_api: Client, sign_in: Callable[..., Any], events: Events
) -> None:
    theirs, pair, by_token = browser(), sign_in().json(), client_of(dora)
    assert by_token.get("/projects").status_code == 200
    answer = alice_api.patch(f"/users/{dora.pk}", {"active": False, "reason": "left"})
    assert (answer.status_code, answer.json()["active"]) == (200, False)
    assert not is_in(theirs)
    assert bearer(pair).get("/projects").status_code == by_token.get("/projects").status_code == 401
    assert Client().post("/auth/refresh", {"refresh_token": pair["refresh_token"]}).status_code == 401
    assert sign_in().status_code == 401
    event = events()[-1]
    told = next(event for event in events() if event.operation == "user.disabled")
    assert (told.detail, told.reason, event.operation) == (
        {"sessions_ended": 2, "tokens_revoked": 1}, "left", "user.sign_in_failed",
    )  # fmt: skip


def test_enabled_person_signs_in_anew(dora: User, alice_api: Client, sign_in: Callable[..., Any]) -> None:
    theirs, by_token = browser(), client_of(dora)
    for active in (False, True):
        assert alice_api.patch(f"/users/{dora.pk}", {"active": active, "reason": "r"}).status_code == 200
    assert not is_in(theirs)
    assert by_token.get("/projects").status_code == 401
    assert sign_in().status_code == 200


def test_nobody_disables_themselves(alice_user: User, alice_api: Client) -> None:
    assert alice_api.patch(f"/users/{alice_user.pk}", {"active": False, "reason": "r"}).status_code == 403


def test_disabling_needs_a_reason(dora: User, alice_api: Client) -> None:
    answer = alice_api.patch(f"/users/{dora.pk}", {"active": False})
    assert answer.json()["errors"][0]["code"] == "reason_required"


# -- the playground's keys


def held_key(user: User) -> ApiKey:
    factories.RouteFactory(name="chat", project=factories.ProjectFactory())
    held = playground_key.key_for(user, standing_of(as_actor(user)), "chat", as_actor(user))
    return ApiKey.objects.get(key_id=held.key_id)


def test_playground_key_ends_with_the_session(dora: User, events: Events) -> None:
    client = browser()
    key = held_key(dora)
    client.post(url("logout"))
    key.refresh_from_db()
    assert key.revoked_at
    assert "api_key.revoked" in [event.operation for event in events()]


def test_playground_makes_another_key_afterwards(dora: User) -> None:
    key = held_key(dora)
    browser().post(url("logout"))
    again = playground_key.key_for(dora, standing_of(as_actor(dora)), "chat", as_actor(dora))
    assert again.key_id != key.key_id


def test_keys_of_other_people_stay(dora: User, alice_user: User) -> None:
    key = held_key(alice_user)
    browser().post(url("logout"))
    key.refresh_from_db()
    assert key.revoked_at is None


def test_cookie_flags_on_one_machine(dora: User) -> None:
    client = browser()
    cookie = client.cookies[settings.SESSION_COOKIE_NAME]
    assert cookie["httponly"]
    assert cookie["samesite"] == "Lax"
    assert re.fullmatch(r"[a-z0-9]{32}", cookie.value)
