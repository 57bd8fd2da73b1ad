"""The same POST with the same key is done once, whatever is lost on the way."""

import json
import threading
from collections.abc import Callable
from datetime import timedelta
from typing import Any
from unittest.mock import patch

import pytest
from django.db import connection, connections
from django.utils import timezone

from audit.models import Event
from audit.record import Actor
from controlplane.api import idempotency
from controlplane.models import ApiKey, Project, RememberedAnswer
from tests.api.conftest import Client, client_of
from tests.conftest import as_actor
from tests.factories import ProjectFactory, UserFactory
from workers.tasks.answers import forget_answers

pytestmark = pytest.mark.django_db


def post(client: Client, path: str, body: dict[str, Any], key: str = "key-1") -> Any:
    return client.post(path, body, headers={"Idempotency-Key": key})


def test_again_is_answered_as_before(alice_api: Client, events: Callable[[], list[Event]]) -> None:
    first, second = (post(alice_api, "/projects", {"name": "team-a"}) for _ in range(2))
    assert (first.status_code, first.json(), first["ETag"]) == (second.status_code, second.json(), second["ETag"])
    assert first.status_code == 201
    assert "Idempotent-Replayed" not in first
    assert second["Idempotent-Replayed"] == "true"
    assert Project.objects.count() == 1
    assert len(events()) == 1


def test_key_that_was_lost_on_the_way_is_shown_again(alice_api: Client) -> None:
    ProjectFactory(name="default")
    first, second = (post(alice_api, "/api-keys", {"project": "default", "name": "batch"}) for _ in range(2))
    assert first.json()["key"] == second.json()["key"]
    assert ApiKey.objects.count() == 1


def test_nothing_of_it_lies_in_the_clear(alice_api: Client) -> None:
    ProjectFactory(name="default")
    secret = post(alice_api, "/api-keys", {"project": "default", "name": "b"}, key="my-own-key").json()["key"]
    with connection.cursor() as cursor:
        cursor.execute("SELECT * FROM controlplane_rememberedanswer")
        stored = str(cursor.fetchall())
    assert secret not in stored
    assert "my-own-key" not in stored


def test_spacing_and_order_are_no_other_body(alice_api: Client) -> None:
    post(alice_api, "/projects", {"name": "p", "title": "P"})
    raw = json.dumps({"title": "P", "name": "p"}, indent=2)
    response = alice_api.post(
        "/projects", raw, content_type="application/json", headers={"Idempotency-Key": "key-1"}
    )  # fmt: skip
    assert response["Idempotent-Replayed"] == "true"


@pytest.mark.parametrize(
    ("path", "body"),
    [("/projects", {"name": "q"}), ("/models", {"name": "p"}), ("/projects", {"name": "p", "title": ""})],
)
def test_another_request_is_refused(alice_api: Client, path: str, body: dict[str, Any]) -> None:
    post(alice_api, "/projects", {"name": "p"})
    response = post(alice_api, path, body)
    assert (response.status_code, response.json()["code"]) == (409, "idempotency_key_reused")
    assert Project.objects.count() == 1


def test_everybody_has_keys_of_their_own(alice_api: Client) -> None:
    dora = client_of(UserFactory(username="dora", is_staff=True, is_superuser=True))
    post(alice_api, "/projects", {"name": "p"})
    assert post(dora, "/projects", {"name": "q"}).status_code == 201


def test_refusal_is_not_remembered(alice_api: Client) -> None:
    assert post(alice_api, "/api-keys", {"project": "default", "name": "k"}).status_code == 400
    ProjectFactory(name="default")
    assert post(alice_api, "/api-keys", {"project": "default", "name": "k"}).status_code == 201


def test_death_between_change_and_answer_leaves_neither(
    alice_api: Client, events: Callable[[], list[Event]]
) -> None:  # fmt: skip
    with patch.object(idempotency, "_remember", side_effect=MemoryError):
        assert post(alice_api, "/projects", {"name": "p"}).status_code == 500
    assert not Project.objects.exists()
    assert events() == []
    assert post(alice_api, "/projects", {"name": "p"}).status_code == 201


def test_after_a_day_it_is_a_new_request(alice_api: Client) -> None:
    post(alice_api, "/projects", {"name": "p"})
    RememberedAnswer.objects.update(expires_at=timezone.now() - timedelta(seconds=1))
    response = post(alice_api, "/projects", {"name": "q"})
    assert response.status_code == 201
    assert RememberedAnswer.objects.count() == 1


def test_old_answers_are_forgotten(alice_api: Client) -> None:
    post(alice_api, "/projects", {"name": "p"}, key="old")
    RememberedAnswer.objects.update(expires_at=timezone.now())
    post(alice_api, "/projects", {"name": "q"}, key="new")
    forget_answers()
    assert RememberedAnswer.objects.count() == 1


@pytest.mark.parametrize("key", ["", "x" * 256, "with space", "ключ".encode().decode("latin-1")])
def test_bad_key_is_named(alice_api: Client, key: str) -> None:
    response = post(alice_api, "/projects", {"name": "p"}, key=key)
    assert (response.status_code, response.json()["errors"][0]["field"]) == (400, "Idempotency-Key")
    assert not Project.objects.exists()


def test_stranger_is_asked_first(anonymous_api: Client) -> None:
    assert post(anonymous_api, "/projects", {"name": "p"}).status_code == 401


@pytest.mark.django_db(transaction=True)
def test_while_the_first_runs_the_second_is_told_to_wait(alice_api: Client, alice: Actor) -> None:
    with Held(alice, "key-1"):
        response = post(alice_api, "/projects", {"name": "p"})
        assert (response.status_code, response.json()["code"]) == (409, "idempotency_in_progress")
        assert response["Retry-After"] == "1"
        assert post(alice_api, "/projects", {"name": "p"}, key="key-2").status_code == 201


class Held:
    """The lock of a request that is being worked on, in a connection of its own."""

    def __init__(self, actor: Actor, key: str) -> None:
        self.actor, self.key = actor, key
        self.taken, self.done = threading.Event(), threading.Event()
        self.thread = threading.Thread(target=self.hold)

    def hold(self) -> None:
        with connection.cursor() as cursor:
            cursor.execute("BEGIN")
            assert idempotency._claim(self.actor, idempotency._digest(self.key))
            self.taken.set()
            self.done.wait(30)
            cursor.execute("ROLLBACK")
        connections.close_all()

    def __enter__(self) -> None:
        self.thread.start()
        assert self.taken.wait(30)

    def __exit__(self, *_: object) -> None:
        self.done.set()
        self.thread.join()


@pytest.mark.django_db(transaction=True)
def test_many_at_once_are_done_once(alice_user: Any) -> None:
    ready, statuses = threading.Barrier(8), []
    client_of(alice_user)

    def attempt() -> None:
        client = client_of(alice_user)
        ready.wait()
        statuses.append(post(client, "/projects", {"name": "p"}).status_code)
        connections.close_all()

    threads = [threading.Thread(target=attempt) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert set(statuses) <= {201, 409}
    assert 201 in statuses
    assert Project.objects.count() == 1
    assert Event.objects.filter(operation="project.created").count() == 1
    assert as_actor(alice_user).id == RememberedAnswer.objects.get().actor_id
