"""``/audit/events/{id}/bodies`` and ``/projects/{id}/erasures``."""

import pytest
from django.db import connection

from controlplane.models import RememberedAnswer, User
from controlplane.roles import Role
from tests import factories, kept
from tests.api.conftest import Client, client_of
from tests.conftest import member

pytestmark = pytest.mark.django_db


def test_mode_and_domain_of_a_project(alice_api: Client) -> None:
    made = alice_api.post("/projects", {"name": "t", "register_mode": "masked", "data_domain": "sensitive"}).json()
    assert (made["register_mode"], made["data_domain"]) == ("masked", "sensitive")
    changed = alice_api.patch(f"/projects/{made['id']}", {"register_mode": "full", "data_domain": "public"}).json()
    assert (changed["register_mode"], changed["data_domain"]) == ("full", "public")


def test_auditor_reads(audrey_user: User) -> None:
    event = kept.request_of(factories.BodyKeyFactory())
    answer = client_of(audrey_user).post(f"/audit/events/{event.pk}/bodies", {"reason": "complaint"})
    assert answer.status_code == 201
    assert [(body["side"], body["text"]) for body in answer.json()["bodies"]] == [
        ("input", kept.QUESTION), ("output", kept.ANSWER),
    ]  # fmt: skip
    assert answer["Cache-Control"] == "no-store"


def test_answer_is_remembered_nowhere(audrey_user: User) -> None:
    event = kept.request_of(factories.BodyKeyFactory())
    api = client_of(audrey_user)
    api.post(f"/audit/events/{event.pk}/bodies", {"reason": "r"}, headers={"Idempotency-Key": "k" * 16})
    assert not RememberedAnswer.objects.exists()
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM audit_event WHERE audit_event::text LIKE '%%13800138000%%'")
        assert cursor.fetchone() == (0,)


def test_reason_is_asked_for(audrey_user: User) -> None:
    event = kept.request_of(factories.BodyKeyFactory())
    refused = client_of(audrey_user).post(f"/audit/events/{event.pk}/bodies", {})
    assert (refused.status_code, refused.json()["code"]) == (400, "reason_required")


def test_event_of_another_project_is_not_there() -> None:
    event = kept.request_of(factories.BodyKeyFactory())
    otto = member("otto", Role.AUDITOR, factories.ProjectFactory())
    assert client_of(otto).post(f"/audit/events/{event.pk}/bodies", {"reason": "r"}).status_code == 404


def test_operator_sees_the_event_and_not_its_contents(bob_user: User) -> None:
    event = kept.request_of(factories.BodyKeyFactory())
    api = client_of(bob_user)
    assert api.get(f"/audit/events/{event.pk}").status_code == 200
    assert api.post(f"/audit/events/{event.pk}/bodies", {"reason": "r"}).status_code == 403


def test_erasure(alice_api: Client) -> None:
    pair = factories.BodyKeyFactory(person="dora")
    answer = alice_api.post(f"/projects/{pair.project.pk}/erasures", {"person": "dora", "reason": "asked"})
    assert (answer.status_code, answer.json()["person"]) == (201, "dora")
    again = alice_api.post(f"/projects/{pair.project.pk}/erasures", {"person": "dora", "reason": "asked"})
    assert (again.status_code, again.json()["code"]) == (400, "nothing_kept")
