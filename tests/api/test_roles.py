"""Roles are granted by owners, never beyond what they hold; taken away they are gone with the next request."""

import threading
from collections.abc import Callable
from typing import Any

import pytest
from django.db import connections

from audit.models import Event
from controlplane.models import Project, RoleBinding, User
from controlplane.roles import PERMISSIONS_OF, Role
from tests import factories
from tests.api.conftest import Client, client_of
from tests.conftest import member

pytestmark = pytest.mark.django_db


@pytest.fixture
def project() -> Project:
    return factories.ProjectFactory.create(name="alpha")


@pytest.fixture
def owner_of_alpha(project: Project) -> User:
    return member("olga", Role.OWNER, project)


@pytest.fixture
def olga_api(owner_of_alpha: User) -> Client:
    return client_of(owner_of_alpha)


def grant(client: Client, **fields: Any) -> Any:
    return client.post("/role-bindings", fields)


def test_roles_are_told_with_what_they_may_do(alice_api: Client) -> None:
    found = {role["name"]: role["permissions"] for role in alice_api.get("/roles").json()["results"]}
    assert list(found) == Role.values
    assert found["auditor"] == ["audit.export", "audit.read", "audit_body.read"]
    assert alice_api.get("/roles/viewer").json() == {"name": "viewer", "permissions": found["viewer"]}
    assert alice_api.get("/roles/king").status_code == 404


def test_granted_role_works_at_once(alice_api: Client, charlie_api: Client, project: Project) -> None:
    assert charlie_api.get("/projects").status_code == 403
    made = grant(alice_api, user="charlie", role="viewer", project="alpha")
    assert made.status_code == 201
    assert (made.json()["user"], made.json()["role"], made.json()["project"]) == ("charlie", "viewer", "alpha")
    assert [row["name"] for row in charlie_api.get("/projects").json()["results"]] == ["alpha"]


def test_taken_away_it_is_gone_with_the_next_request(alice_api: Client, charlie_api: Client, project: Project) -> None:
    made = grant(alice_api, user="charlie", role="viewer", project="alpha").json()
    assert charlie_api.get(f"/projects/{project.pk}").status_code == 200
    assert alice_api.delete(f"/role-bindings/{made['id']}", {"reason": "moved on"}).status_code == 204
    assert charlie_api.get(f"/projects/{project.pk}").status_code == 404
    assert charlie_api.get("/projects").status_code == 403


def test_machine_gets_a_role(alice_api: Client, project: Project) -> None:
    machine = factories.ServiceAccountFactory.create(project=project)
    made = grant(alice_api, service_account=machine.name, role="developer", project="alpha")
    assert (made.status_code, made.json()["service_account_id"]) == (201, str(machine.pk))


@pytest.mark.parametrize("elsewhere", [None, "beta"])
def test_machine_of_a_project_stays_in_it(alice_api: Client, project: Project, elsewhere: str | None) -> None:
    factories.ProjectFactory(name="beta")
    machine = factories.ServiceAccountFactory.create(project=project)
    refused = grant(alice_api, service_account=str(machine.pk), role="viewer", project=elsewhere)
    assert (refused.status_code, refused.json()["errors"][0]["field"]) == (400, "service_account")


def test_machines_of_one_name_are_told_apart(alice_api: Client, project: Project) -> None:
    for where in (project, None):
        factories.ServiceAccountFactory(name="ci", project=where)
    refused = grant(alice_api, service_account="ci", role="viewer", project="alpha")
    assert refused.json()["errors"][0]["code"] == "ambiguous"


def test_event_tells_who_got_what(alice_api: Client, charlie_user: User, project: Project) -> None:
    made = grant(alice_api, user="charlie", role="viewer", project="alpha", reason="joins the team").json()
    alice_api.delete(f"/role-bindings/{made['id']}", {"reason": "left"})
    granted, revoked = Event.objects.filter(operation__startswith="role.").order_by("at")
    for event, reason in ((granted, "joins the team"), (revoked, "left")):
        assert (event.kind, event.project, event.target_name, event.reason) == ("security", "alpha", "charlie", reason)
        assert event.detail == {"role": "viewer", "binding": made["id"]}


@pytest.mark.parametrize("body", [{}, {"user": "charlie", "service_account": "m"}])
def test_a_binding_is_for_one(alice_api: Client, charlie_user: User, body: dict[str, str]) -> None:
    factories.ServiceAccountFactory(name="m")
    assert grant(alice_api, role="viewer", **body).status_code == 400


def test_twice_is_a_conflict(alice_api: Client, charlie_user: User) -> None:
    assert grant(alice_api, user="charlie", role="viewer").status_code == 201
    again = grant(alice_api, user="charlie", role="viewer")
    assert (again.status_code, again.json()["code"]) == (409, "already_exists")


@pytest.mark.parametrize("role", Role.values)
def test_project_owner_grants_there(olga_api: Client, charlie_user: User, role: str) -> None:
    assert grant(olga_api, user="charlie", role=role, project="alpha").status_code == 201


@pytest.mark.parametrize("role", Role.values)
def test_project_owner_grants_nothing_on_the_platform(olga_api: Client, charlie_user: User, role: str) -> None:
    assert grant(olga_api, user="charlie", role=role).status_code == 403
    assert not RoleBinding.objects.filter(user=charlie_user).exists()


def test_project_owner_grants_nothing_elsewhere(olga_api: Client, charlie_user: User) -> None:
    factories.ProjectFactory(name="beta")
    known, unknown = (grant(olga_api, user="charlie", role="viewer", project=name) for name in ("beta", "gamma"))
    assert (known.status_code, unknown.status_code) == (400, 400)
    assert known.json()["errors"] == unknown.json()["errors"]


@pytest.mark.parametrize("who", ["bob", "vera", "audrey"])
def test_others_grant_nothing(who: str, request: pytest.FixtureRequest, charlie_user: User) -> None:
    assert grant(request.getfixturevalue(f"{who}_api"), user="charlie", role="viewer").status_code == 403


def test_project_owner_sees_the_bindings_of_the_project_only(olga_api: Client, alice_user: User) -> None:
    factories.BindingFactory(user=factories.UserFactory(), project=factories.ProjectFactory(name="beta"))
    assert [row["user"] for row in olga_api.get("/role-bindings").json()["results"]] == ["olga"]
    platform = alice_user.role_bindings.get()
    assert olga_api.delete(f"/role-bindings/{platform.pk}", {"reason": "x"}).status_code == 404


def test_member_is_shown_with_what_may_be_seen_of_their_roles(
    olga_api: Client, alice_api: Client, project: Project, charlie_user: User
) -> None:
    for where in (project, factories.ProjectFactory(name="beta")):
        factories.BindingFactory(user=charlie_user, project=where)
    path = f"/users/{charlie_user.pk}"
    assert [held["project"] for held in alice_api.get(path).json()["roles"]] == ["alpha", "beta"]
    assert [held["project"] for held in olga_api.get(path).json()["roles"]] == ["alpha"]
    assert sorted(row["username"] for row in olga_api.get("/users").json()["results"]) == ["charlie", "olga"]


def test_last_owner_stays(alice_api: Client, alice_user: User, events: Callable[[], list[Event]]) -> None:
    refused = alice_api.delete(f"/role-bindings/{alice_user.role_bindings.get().pk}", {"reason": "tired"})
    assert (refused.status_code, refused.json()["code"]) == (409, "last_owner")
    assert alice_user.role_bindings.exists()
    assert events() == []


def test_owner_goes_once_there_is_another(alice_api: Client, alice_user: User, charlie_user: User) -> None:
    grant(alice_api, user="charlie", role="owner")
    mine = alice_user.role_bindings.get()
    assert alice_api.delete(f"/role-bindings/{mine.pk}", {"reason": "tired"}).status_code == 204
    assert alice_api.get("/projects").status_code == 403


@pytest.mark.parametrize("other", ["machine", "disabled", "of a project"])
def test_what_does_not_count_as_an_owner(alice_api: Client, alice_user: User, project: Project, other: str) -> None:
    match other:
        case "machine":
            factories.BindingFactory(service_account=factories.ServiceAccountFactory(), role=Role.OWNER)
        case "disabled":
            factories.BindingFactory(user=factories.UserFactory(is_active=False), role=Role.OWNER)
        case _:
            factories.BindingFactory(user=factories.UserFactory(), role=Role.OWNER, project=project)
    refused = alice_api.delete(f"/role-bindings/{alice_user.role_bindings.get().pk}", {"reason": "tired"})
    assert refused.json()["code"] == "last_owner"


def test_superuser_counts(alice_api: Client, alice_user: User) -> None:
    factories.UserFactory(is_superuser=True)
    mine = alice_user.role_bindings.get()
    assert alice_api.delete(f"/role-bindings/{mine.pk}", {"reason": "tired"}).status_code == 204


def test_last_owner_is_not_disabled(alice_user: User, alice_api: Client) -> None:
    machine = factories.ServiceAccountFactory.create()
    factories.BindingFactory(service_account=machine, role=Role.OWNER)
    from controlplane.models import ManagementToken
    from controlplane.tokens import MANAGEMENT, digest, generate

    token = generate(MANAGEMENT)
    ManagementToken.objects.create(service_account=machine, name="t", token_id=token.id, digest=digest(token.token))
    api = Client(headers={"Authorization": f"Bearer {token.token}"})
    refused = api.patch(f"/users/{alice_user.pk}", {"active": False, "reason": "x"})
    assert (refused.status_code, refused.json()["code"]) == (409, "last_owner")
    assert alice_api.get("/projects").status_code == 200


def test_only_owners_and_auditors_export() -> None:
    holding = {role for role, held in PERMISSIONS_OF.items() if "audit.export" in held}
    assert holding == {Role.OWNER, Role.AUDITOR}


@pytest.mark.django_db(transaction=True)
def test_two_owners_cannot_remove_each_other_at_once() -> None:
    """Each alone would leave the other; together they would leave nobody."""
    pair = [member(name, Role.OWNER) for name in ("anna", "ben")]
    clients, ready, answers = [client_of(user) for user in pair], threading.Barrier(2), []

    def remove(client: Client, binding: RoleBinding) -> None:
        ready.wait(30)
        answers.append(client.delete(f"/role-bindings/{binding.pk}", {"reason": "mine"}).status_code)
        connections.close_all()

    others = [user.role_bindings.get() for user in reversed(pair)]
    threads = [threading.Thread(target=remove, args=both) for both in zip(clients, others, strict=True)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    # The second finds either that it would be the last, or that its sender owns nothing any more.
    assert 204 in answers
    assert set(answers) <= {204, 403, 404, 409}
    assert answers.count(204) == 1
    assert RoleBinding.objects.filter(role=Role.OWNER, project=None).count() == 1
