"""Service accounts and management tokens: made, listed, replaced with an overlap, revoked; shown once."""

import re
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from audit.models import Event
from controlplane import tokens
from controlplane.models import ManagementToken, Project, ServiceAccount, User
from controlplane.roles import Role
from tests import factories
from tests.api.conftest import Client, client_of

pytestmark = pytest.mark.django_db
Events = Callable[[], list[Event]]


def bearer(token: str) -> Client:
    return Client(headers={"Authorization": f"Bearer {token}"})


@pytest.fixture
def team(db: None) -> Project:
    return factories.ProjectFactory(name="team")


@pytest.fixture
def machine(team: Project) -> ServiceAccount:
    """Deploys for the team."""
    account = factories.ServiceAccountFactory(name="ci", project=team)
    factories.BindingFactory(service_account=account, role=Role.OPERATOR, project=team)
    return account


@pytest.fixture
def lena(team: Project) -> User:
    """Owns the team, and nothing else."""
    user = factories.UserFactory(username="lena")
    factories.BindingFactory(user=user, role=Role.OWNER, project=team)
    return user


def made(client: Client, account: ServiceAccount, **more: Any) -> dict[str, Any]:
    answer = client.post("/tokens", {"name": "t", "service_account": str(account.pk), **more})
    assert answer.status_code == 201, answer.json()
    return dict(answer.json())


def test_machine_is_made_and_described(alice_api: Client, team: Project, events: Events) -> None:
    answer = alice_api.post("/service-accounts", {"name": "ci", "project": "team", "description": "deploys"})
    assert (answer.status_code, answer.json()["project"]) == (201, "team")
    pk = answer.json()["id"]
    assert alice_api.patch(f"/service-accounts/{pk}", {"description": "builds"}).json()["description"] == "builds"
    assert [event.operation for event in events()] == ["service_account.created", "service_account.changed"]
    assert {event.project for event in events()} == {"team"}


def test_name_is_taken_once_a_project(alice_api: Client, team: Project) -> None:
    for place, status in (("team", 201), ("team", 409), (None, 201), (None, 409)):
        assert alice_api.post("/service-accounts", {"name": "ci", "project": place}).status_code == status


def test_machine_acts_as_itself(alice_api: Client, machine: ServiceAccount, events: Events) -> None:
    token = made(alice_api, machine)["token"]
    answer = bearer(token).post("/models", {"name": "m", "project": "team"})
    assert answer.status_code == 201
    event = events()[-1]
    assert (event.actor_type, event.actor_id, event.actor_name, event.auth_method) == (
        "service_account", str(machine.pk), "ci", "token",
    )  # fmt: skip


def test_machine_stays_in_its_project(alice_api: Client, machine: ServiceAccount) -> None:
    other = factories.ModelFactory(project=factories.ProjectFactory())
    client = bearer(made(alice_api, machine)["token"])
    assert client.get(f"/models/{other.pk}").status_code == 404
    assert client.post("/models", {"name": "m"}).status_code == 403


def test_token_can_be_recognised_and_is_shown_once(alice_api: Client, machine: ServiceAccount) -> None:
    token = made(alice_api, machine)
    assert re.fullmatch(rf"sbm_{token['token_id']}_[0-9A-Za-z]{{43}}_[0-9A-Za-z]{{6}}", token["token"])
    assert "token" not in alice_api.get(f"/tokens/{token['id']}").json()
    assert token["token"] not in str(ManagementToken.objects.values())
    assert ManagementToken.objects.get(pk=token["id"]).digest == tokens.digest(token["token"])


def test_mistyped_token_costs_no_look_up(
    alice_api: Client, machine: ServiceAccount, django_assert_num_queries: Callable[[int], Any]
) -> None:
    token = made(alice_api, machine)["token"]
    with django_assert_num_queries(0):
        assert bearer(token[:-7] + "x" + token[-6:]).get("/models").status_code == 401


def test_token_of_the_first_form_goes_on_working(alice_user: User) -> None:
    old = "sbm_" + "aB3_-" * 8 + "xyz"
    ManagementToken.objects.create(user=alice_user, name="old", digest=tokens.digest(old))
    assert bearer(old).get("/models").status_code == 200


def test_use_is_noted(alice_api: Client, machine: ServiceAccount) -> None:
    token = made(alice_api, machine)
    assert token["last_used_at"] is None
    bearer(token["token"]).get("/models")
    assert alice_api.get(f"/tokens/{token['id']}").json()["last_used_at"]


def test_rotation_lets_both_in_for_a_while(alice_api: Client, machine: ServiceAccount, events: Events) -> None:
    old = made(alice_api, machine)
    answer = alice_api.post(f"/tokens/{old['id']}/rotate", {"overlap_seconds": 3600})
    new = answer.json()
    assert (answer.status_code, events()[-1].operation) == (201, "token.rotated")
    assert bearer(old["token"]).get("/models").status_code == bearer(new["token"]).get("/models").status_code == 200
    ManagementToken.objects.filter(pk=old["id"]).update(expires_at=timezone.now())
    assert bearer(old["token"]).get("/models").status_code == 401


def test_leaked_token_ends_with_its_rotation(alice_api: Client, machine: ServiceAccount) -> None:
    old = made(alice_api, machine)
    new = alice_api.post(f"/tokens/{old['id']}/rotate", {"overlap_seconds": 0}).json()
    assert bearer(old["token"]).get("/models").status_code == 401
    assert bearer(new["token"]).get("/models").status_code == 200


def test_rotation_keeps_the_lifetime(alice_api: Client, machine: ServiceAccount) -> None:
    ends = timezone.now() + timedelta(days=30)
    old = made(alice_api, machine, expires_at=ends.isoformat())
    alice_api.post(f"/tokens/{old['id']}/rotate", {"overlap_seconds": 864_000})
    new = ManagementToken.objects.exclude(pk=old["id"]).exclude(user__isnull=False).get()
    assert new.expires_at
    assert abs(new.expires_at - ends) < timedelta(minutes=1)
    assert ManagementToken.objects.get(pk=old["id"]).expires_at < ends


def test_rotation_never_prolongs_the_old_one(alice_api: Client, machine: ServiceAccount) -> None:
    ends = timezone.now() + timedelta(minutes=5)
    old = made(alice_api, machine, expires_at=ends.isoformat())
    alice_api.post(f"/tokens/{old['id']}/rotate", {"overlap_seconds": 864_000})
    assert ManagementToken.objects.get(pk=old["id"]).expires_at == ends


def test_ended_token_is_not_rotated(alice_api: Client, machine: ServiceAccount) -> None:
    old = made(alice_api, machine)
    assert alice_api.delete(f"/tokens/{old['id']}", headers={"X-Reason": "over"}).status_code == 200
    assert bearer(old["token"]).get("/models").status_code == 401
    assert alice_api.post(f"/tokens/{old['id']}/rotate").json()["code"] == "ended"


def test_switched_off_machine_is_refused_at_once(alice_api: Client, machine: ServiceAccount, events: Events) -> None:
    token = made(alice_api, machine)
    answer = alice_api.patch(f"/service-accounts/{machine.pk}", {"active": False, "reason": "replaced"})
    assert answer.status_code == 200
    assert bearer(token["token"]).get("/models").status_code == 401
    assert events()[-1].detail == {"tokens_revoked": 1}
    assert alice_api.post("/tokens", {"name": "t", "service_account": str(machine.pk)}).json()["code"] == "disabled"


def test_switching_off_needs_a_reason(alice_api: Client, machine: ServiceAccount) -> None:
    answer = alice_api.patch(f"/service-accounts/{machine.pk}", {"active": False})
    assert answer.json()["errors"][0]["code"] == "reason_required"
    machine.refresh_from_db()
    assert machine.is_active


# -- who may have whose token in hand


def test_owner_of_a_project_makes_its_machines_tokens(lena: User, machine: ServiceAccount) -> None:
    assert made(client_of(lena), machine)["service_account"] == "ci"


def test_nobody_makes_a_token_that_may_do_more_than_they(lena: User, machine: ServiceAccount) -> None:
    factories.BindingFactory(service_account=machine, role=Role.OPERATOR)  # on the whole platform
    answer = client_of(lena).post("/tokens", {"name": "t", "service_account": str(machine.pk)})
    assert (answer.status_code, answer.json()["code"]) == (403, "not_allowed")


def test_machine_of_another_project_is_not_there(lena: User) -> None:
    other = factories.ServiceAccountFactory(project=factories.ProjectFactory())
    answer = client_of(lena).post("/tokens", {"name": "t", "service_account": str(other.pk)})
    assert answer.json()["errors"][0]["code"] == "unknown"


def test_own_token_needs_the_password(dora: User, sign_in: Callable[..., Any]) -> None:
    """Whoever steals a token cannot make more of them."""
    assert client_of(dora).post("/tokens", {"name": "mine"}).status_code == 403
    mine = bearer(sign_in().json()["access_token"]).post("/tokens", {"name": "mine"})
    assert (mine.status_code, mine.json()["user"]) == (201, "dora")


def test_onlooker_sees_and_ends_their_own_tokens_only(bob_user: User, machine: ServiceAccount) -> None:
    factories.BindingFactory(user=bob_user, role=Role.VIEWER)
    ManagementToken.objects.create(service_account=machine, name="theirs", digest="d")
    client = client_of(bob_user)
    [mine] = client.get("/tokens").json()["results"]
    assert mine["user"] == "bob"
    assert client.delete(f"/tokens/{mine['id']}", headers={"X-Reason": "r"}).status_code == 200
    assert client.get("/tokens").status_code == 401


def test_key_from_one_owner_row_only(machine: ServiceAccount, alice_user: User) -> None:
    from django.db import IntegrityError

    with pytest.raises(IntegrityError):
        ManagementToken.objects.create(user=alice_user, service_account=machine, name="both", digest="d")
