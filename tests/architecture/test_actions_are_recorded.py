"""Every action is known to the table of attempts and leaves an event that answers who, what, when, why and how.

An action is a public function of `controlplane.actions` that takes an `actor`. A new one fails here until it stands in
`ATTEMPTS` (which also proves that it asks for a permission), and in `ENDINGS` when it ends something.
"""

import importlib
import inspect
import pkgutil
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from audit.models import Event
from audit.operations import Operation
from audit.record import Actor
from controlplane import actions
from controlplane.actions.change_password import change_password
from controlplane.models import User
from tests.actions.test_permission import ATTEMPTS
from tests.actions.test_reasons import ENDINGS

pytestmark = pytest.mark.django_db

PARTS = {
    "add_alert_presets": "made of others, which are recorded",
    "bootstrap": "made of others, which are recorded",
    "connect_engine": "made of others, which are recorded",
    "deploy_default_model": "made of others, which are recorded",
    "require_owning": "a check that some share",
    "end_all": "a part of actions that have asked and record it themselves",
    "end_playground_keys": "goes with the end of a session, whoever ends it; one event a key",
    "start_api_session": "signing in asks for a password, not for a permission; see tests/api",
    "stop_session": "having the session's token is the right to end it; see tests/identity",
    "refresh_session": "asks for a refresh token; a session goes on, and only the theft of one is an event",
}
ENDING_VERBS = {"delete", "remove", "retire", "revoke", "disable", "issue"}


def functions() -> Iterator[tuple[str, Callable[..., Any]]]:
    for module in pkgutil.iter_modules(actions.__path__):
        loaded = importlib.import_module(f"{actions.__name__}.{module.name}")
        for name, function in inspect.getmembers(loaded, inspect.isfunction):
            own = function.__module__ == loaded.__name__ and not name.startswith("_")
            if own and "actor" in inspect.signature(function).parameters:
                yield name, function


ACTIONS = dict(functions())


def test_every_action_is_attempted() -> None:
    assert sorted(ACTIONS.keys() - ATTEMPTS.keys() - PARTS.keys()) == []


def test_tables_name_no_action_that_is_gone() -> None:
    assert sorted((ATTEMPTS.keys() | PARTS.keys()) - ACTIONS.keys()) == []


def test_every_ending_needs_a_reason() -> None:
    endings = {name for name in ACTIONS if name.partition("_")[0] in ENDING_VERBS}
    assert sorted(endings - ENDINGS.keys()) == []


@pytest.mark.parametrize("name", sorted(ATTEMPTS.keys() - {"change_password"}))
def test_action_leaves_an_event(name: str, alice: Actor, events: Callable[[], list[Event]]) -> None:
    ATTEMPTS[name](alice)
    assert events(), "nothing is in the register"
    for event in events():
        tells_all(event, alice)


def test_own_password(alice: Actor, alice_user: User, events: Callable[[], list[Event]]) -> None:
    change_password(alice_user, password="a long new word of hers", actor=alice)
    tells_all(events()[-1], alice)


def tells_all(event: Event, actor: Actor) -> None:
    assert event.operation in {it.value for it in Operation}
    assert (event.actor_type, event.actor_id, event.actor_name) == (actor.type, actor.id, actor.name)
    assert (event.source, event.auth_method, event.request_id) == ("api", "token", actor.request_id)
    assert event.target_type
    assert event.target_id
    assert event.target_name
    assert event.at
    assert event.host
    assert event.status
