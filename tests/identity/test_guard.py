"""Abnormal operations are refused as they happen, their actor is suspended everywhere, and both are told and undone."""

import threading
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.conf import settings as django_settings
from django.db import connection
from django.utils import timezone

from audit.models import Event
from audit.operations import Operation
from audit.watch import Rule, Threshold
from controlplane import guard
from controlplane.actions.revoke_api_key import revoke_api_key
from controlplane.guard import Abnormal
from controlplane.models import ApiKey, Suspension, WatchedAct
from controlplane.roles import Role
from inference.contract.ids import uuid7
from tests import factories
from tests.api.conftest import client_of
from tests.commands.run import run
from tests.conftest import as_actor
from tests.console.conftest import browser_of
from tests.console.pages import text, url

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def low(settings: Any) -> None:
    two = Threshold(2, timedelta(minutes=10))
    settings.GUARD = dict.fromkeys(Rule, two)


@pytest.fixture
def suspended(bob_user: Any) -> Any:
    factories.SuspensionFactory(actor_id=str(bob_user.pk), actor_name="bob")
    return bob_user


def revoke_one(api: Any) -> Any:
    return api.delete(f"/api-keys/{factories.ApiKeyFactory().pk}", {"reason": "over"})


def test_third_is_refused_and_suspends(bob_user: Any) -> None:
    api = client_of(bob_user)
    assert [revoke_one(api).status_code for _ in range(2)] == [200, 200]
    refused = revoke_one(api)
    assert (refused.status_code, refused.json()["code"]) == (403, "abnormal_operation")
    assert ApiKey.objects.filter(revoked_at=None).count() == 1
    after = api.get("/models")
    assert (after.status_code, after.json()["code"]) == (403, "suspended")


def test_answer_is_an_event_that_explains(bob_user: Any) -> None:
    api = client_of(bob_user)
    for _ in range(4):
        revoke_one(api)
    (event,) = Event.objects.filter(operation=Operation.ACTOR_SUSPENDED)
    assert (event.kind, event.target_name, event.status) == ("security", "bob", "too_much")
    assert (event.detail["rule"], event.detail["count"], event.detail["most"]) == ("keys_revoked", 3, 2)


def test_refused_in_the_console_as_well(alice_console: Any) -> None:
    for _ in range(3):
        key = factories.ApiKeyFactory()
        page = alice_console.post(url("controlplane_apikey_do_revoke", key.pk), {"reason": "over"})
    assert "abnormal" in str(page.context["form"].errors)
    assert Suspension.objects.get().actor_name == "alice"
    after = alice_console.get(url("index"))
    assert after.status_code == 403
    assert 'data-testid="suspended"' in text(after)


def test_suspended_everywhere_at_once(suspended: Any) -> None:
    assert client_of(suspended).get("/models").json()["code"] == "suspended"
    assert client_of(suspended).get("/sessions").json()["code"] == "suspended", "one's own things too"
    assert browser_of(suspended).get(url("controlplane_model_changelist")).status_code == 403
    assert browser_of(suspended).post(url("logout")).status_code == 302


def test_actions_refuse_too(suspended: Any) -> None:
    with pytest.raises(guard.NotAllowed) as refused:
        revoke_api_key(factories.ApiKeyFactory(), actor=as_actor(suspended), reason="r")
    assert refused.value.code == "suspended"


def test_machines_are_suspended_as_people_are(alice_api: Any) -> None:
    machine = factories.ServiceAccountFactory()
    factories.BindingFactory(service_account=machine, role=Role.OPERATOR)
    factories.SuspensionFactory(actor_type="service_account", actor_id=str(machine.pk))
    made = alice_api.post("/tokens", {"name": "t", "service_account": machine.name}).json()["token"]
    alice_api.credentials()
    answer = type(alice_api)(headers={"Authorization": f"Bearer {made}"}).get("/models")
    assert answer.json()["code"] == "suspended"


def test_it_ends_by_itself(suspended: Any) -> None:
    Suspension.objects.update(until=timezone.now() - timedelta(seconds=1))
    assert client_of(suspended).get("/models").status_code == 200


def test_an_owner_lifts_it_and_it_is_told(suspended: Any, alice_api: Any) -> None:
    path = f"/suspensions/{Suspension.objects.get().pk}"
    assert alice_api.delete(path).status_code == 400
    assert alice_api.delete(path, {"reason": "it was me"}).json()["lifted_by"] == "alice"
    assert client_of(suspended).get("/models").status_code == 200
    assert Event.objects.get(operation=Operation.SUSPENSION_LIFTED).reason == "it was me"


def test_lifted_one_counts_anew(bob_user: Any, alice_api: Any) -> None:
    api = client_of(bob_user)
    for _ in range(3):
        revoke_one(api)
    alice_api.delete(f"/suspensions/{Suspension.objects.get().pk}", {"reason": "planned"})
    assert revoke_one(api).status_code == 200


def test_the_last_owner_gets_back_in_by_the_command_line(alice_user: Any) -> None:
    factories.SuspensionFactory(actor_id=str(alice_user.pk), actor_name="alice")
    assert run("unlock_user", "alice").status == 0
    assert client_of(alice_user).get("/models").status_code == 200


def test_who_is_turned_away_too_often(bob_user: Any) -> None:
    api = client_of(bob_user)
    codes = [api.get(f"/projects/{uuid7()}") for _ in range(4)]
    assert [it.status_code for it in codes][:3] == [404, 404, 404]
    assert codes[3].json()["code"] == "suspended"
    assert Suspension.objects.get().rule == Rule.REFUSALS


def test_an_owner_who_finds_nothing_is_let_be(alice_api: Any) -> None:
    for _ in range(5):
        assert alice_api.get("/models/none").status_code == 404
    assert not Suspension.objects.exists()


def test_the_system_is_not_watched(events: Callable[[], list[Event]]) -> None:
    from controlplane.actors import SYSTEM

    for _ in range(5):
        revoke_api_key(factories.ApiKeyFactory(), actor=SYSTEM, reason="r")
    assert not WatchedAct.objects.exists()


def test_what_is_old_is_forgotten(bob_user: Any) -> None:
    revoke_one(client_of(bob_user))
    assert guard.forget(timezone.now()) == 0
    assert guard.forget(timezone.now() + timedelta(minutes=11)) == 1


@pytest.mark.django_db(transaction=True)
def test_ten_at_once_are_no_way_around(bob_user: Any) -> None:
    keys, outcomes = [factories.ApiKeyFactory() for _ in range(10)], []
    bob = as_actor(bob_user)

    def revoke(key: ApiKey) -> None:
        try:
            revoke_api_key(key, actor=bob, reason="r")
            outcomes.append("done")
        except Abnormal:
            outcomes.append("refused")
        finally:
            connection.close()

    threads = [threading.Thread(target=revoke, args=(key,)) for key in keys]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert sorted(outcomes) == ["done"] * 2 + ["refused"] * 8
    assert ApiKey.objects.exclude(revoked_at=None).count() == 2


def test_defaults_are_there() -> None:
    assert set(django_settings.GUARD) == set(Rule)
