"""Reading and erasing what is kept of requests: by whom, why, and with what trace."""

from collections.abc import Callable
from typing import Any

import pytest
from django.db import connection
from django.test import override_settings
from redis import Redis

from audit.models import Event
from audit.record import Actor
from controlplane import body_keys, gateway_tables
from controlplane.actions.erase_bodies import erase_bodies
from controlplane.actions.read_bodies import read_bodies
from controlplane.actions.rotate_master_key import rotate_master_key
from controlplane.errors import Invalid, NotAllowed
from controlplane.models import BodyKey
from controlplane.roles import Role
from inference.contract import tables
from inference.contract.bodies import SEEN
from tests import factories, kept
from tests.conftest import as_actor, member

pytestmark = pytest.mark.django_db


@pytest.fixture
def pair(db: None) -> BodyKey:
    return factories.BodyKeyFactory(person="dora")


def test_both_sides_are_read_and_match_their_digests(pair: BodyKey, audrey: Actor) -> None:
    asked, answered = read_bodies(kept.request_of(pair), actor=audrey, reason="complaint 17")
    assert (asked.text, answered.text) == (kept.QUESTION, kept.ANSWER)
    assert (asked.matches_digest, answered.matches_digest) == (True, True)


def test_look_is_an_event(pair: BodyKey, audrey: Actor, events: Callable[[], list[Event]]) -> None:
    about = kept.request_of(pair)
    read_bodies(about, actor=audrey, reason="complaint 17")
    look = events()[-1]
    assert (look.operation, look.actor_name, look.reason) == ("body.read", "audrey", "complaint 17")
    assert (look.target_id, look.project) == (str(about.pk), pair.project.name)
    assert look.detail is not None
    assert look.detail["bodies"] == {"input": "readable", "output": "readable"}
    assert "13800138000" not in str(vars(look))


def test_no_look_without_a_reason(pair: BodyKey, audrey: Actor) -> None:
    with pytest.raises(Invalid):
        read_bodies(kept.request_of(pair), actor=audrey, reason=" ")


def test_auditor_of_one_project_reads_no_other(pair: BodyKey) -> None:
    other = member("otto", Role.AUDITOR, factories.ProjectFactory())
    with pytest.raises(NotAllowed):
        read_bodies(kept.request_of(pair), actor=as_actor(other), reason="r")


def test_operator_reads_none(pair: BodyKey, bob: Actor) -> None:
    with pytest.raises(NotAllowed):
        read_bodies(kept.request_of(pair), actor=bob, reason="r")


def test_database_shows_bodies_to_a_look_alone(pair: BodyKey, audrey: Actor) -> None:
    read_bodies(kept.request_of(pair), actor=audrey, reason="r")
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM audit_body")
        assert cursor.fetchone() == (0,)
        cursor.execute("SELECT set_config(%s, %s, true)", [SEEN, "another"])
        cursor.execute("SELECT count(*) FROM audit_body")
        assert cursor.fetchone() == (0,)


def test_erased_person_is_unreadable_for_ever(pair: BodyKey, alice: Actor) -> None:
    about = kept.request_of(pair)
    erase_bodies(pair.project, person="dora", actor=alice, reason="asked for it")
    read = read_bodies(about, actor=alice, reason="try")
    assert [(body.condition, body.text) for body in read] == [("erased", "")] * 2
    pair.refresh_from_db()
    assert not pair.private


def test_others_stay_readable(pair: BodyKey, alice: Actor) -> None:
    emil = factories.BodyKeyFactory(project=pair.project, person="emil")
    about = kept.request_of(emil)
    erase_bodies(pair.project, person="dora", actor=alice, reason="asked for it")
    assert read_bodies(about, actor=alice, reason="r")[0].text == kept.QUESTION


def test_erasure_is_an_event_and_changes_no_other(
    pair: BodyKey, alice: Actor, events: Callable[[], list[Event]]
) -> None:
    kept.request_of(pair)
    before = [event.pk for event in events()]
    erase_bodies(pair.project, person="dora", actor=alice, reason="asked for it")
    last = events()[-1]
    assert [event.pk for event in events()[:-1]] == before
    assert (last.operation, last.target_name, last.reason) == ("body.erased", "dora", "asked for it")


def test_nothing_to_erase(alice: Actor) -> None:
    with pytest.raises(Invalid) as refused:
        erase_bodies(factories.ProjectFactory(), person="nobody", actor=alice, reason="r")
    assert refused.value.code == "nothing_kept"


def test_next_request_is_encrypted_to_a_new_key(
    alice: Actor, redis: Redis, django_capture_on_commit_callbacks: Any
) -> None:
    key = factories.ApiKeyFactory(project=factories.ProjectFactory(register_mode="full"), created_by="dora")
    first = gateway_tables.key_entry(key).body_key
    with django_capture_on_commit_callbacks(execute=True):
        erase_bodies(key.project, person="dora", actor=alice, reason="r")
    assert tables.decode_key(redis.hget(tables.KEYS, key.key_id)).body_key not in {"", first}


def test_altered_or_moved_body_is_not_shown(pair: BodyKey, alice: Actor) -> None:
    about = kept.event(pair.project.name)
    kept.keep(about, pair, "input", kept.QUESTION, sealed=b"x" * 80)
    kept.keep(about, pair, "output", kept.ANSWER, event_id=about.pk, key_id=str(factories.BodyKeyFactory().pk))
    assert {body.condition for body in read_bodies(about, actor=alice, reason="r")} == {"unreadable"}


def test_master_key_can_be_replaced(pair: BodyKey, alice: Actor) -> None:
    about = kept.request_of(pair)
    from django.conf import settings

    before = settings.MASTER_KEY
    with override_settings(MASTER_KEY=b"n" * 32, MASTER_KEY_PREVIOUS=before):
        rotate_master_key(actor=alice)
    with override_settings(MASTER_KEY=b"n" * 32, MASTER_KEY_PREVIOUS=None):
        assert read_bodies(about, actor=alice, reason="r")[0].text == kept.QUESTION


def test_person_is_who_made_the_key() -> None:
    assert body_keys.person_of(factories.ApiKeyFactory.build(created_by="dora")) == "dora"
