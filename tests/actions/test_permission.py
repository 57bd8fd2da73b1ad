"""Every action asks first: who may only look, outsiders and strangers change nothing and leave no event."""

import secrets
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.test import override_settings
from django.utils import timezone

from audit.exporting import Format
from audit.finding import Selection
from audit.models import Event, Hold
from audit.record import Actor
from controlplane import attempts
from controlplane.actions.acknowledge_alert import acknowledge_alert
from controlplane.actions.admit_sql_reader import admit_sql_reader
from controlplane.actions.cancel_export import cancel_export
from controlplane.actions.change_alert_rule import change_alert_rule
from controlplane.actions.change_api_key import change_api_key
from controlplane.actions.change_deployment import change_deployment
from controlplane.actions.change_password import change_password
from controlplane.actions.change_project import change_project
from controlplane.actions.change_service_account import change_service_account
from controlplane.actions.connect_engine import connect_engine
from controlplane.actions.create_alert_rule import create_alert_rule
from controlplane.actions.create_api_key import create_api_key
from controlplane.actions.create_deployment import create_deployment
from controlplane.actions.create_model import create_model
from controlplane.actions.create_project import create_project
from controlplane.actions.create_service_account import create_service_account
from controlplane.actions.create_silence import create_silence
from controlplane.actions.create_token import create_token
from controlplane.actions.create_user import create_user
from controlplane.actions.create_version import create_version
from controlplane.actions.delete_alert_rule import delete_alert_rule
from controlplane.actions.delete_channel import delete_channel
from controlplane.actions.delete_deployment import delete_deployment
from controlplane.actions.delete_route import delete_route
from controlplane.actions.disable_user import disable_user
from controlplane.actions.dismiss_sql_reader import dismiss_sql_reader
from controlplane.actions.download_export import download_export
from controlplane.actions.enable_user import enable_user
from controlplane.actions.end_session import end_session, end_sessions
from controlplane.actions.end_silence import end_silence
from controlplane.actions.erase_bodies import erase_bodies
from controlplane.actions.grant_role import grant_role
from controlplane.actions.issue_password import issue_password
from controlplane.actions.lift_hold import lift_hold
from controlplane.actions.lift_suspension import lift_suspension
from controlplane.actions.place_hold import place_hold
from controlplane.actions.read_bodies import read_bodies
from controlplane.actions.release_bodies import release_bodies
from controlplane.actions.remove_limit import remove_limit
from controlplane.actions.request_export import request_export
from controlplane.actions.retire_month import retire_month
from controlplane.actions.retire_version import retire_version
from controlplane.actions.revoke_api_key import revoke_api_key
from controlplane.actions.revoke_role import revoke_role
from controlplane.actions.revoke_token import revoke_token
from controlplane.actions.rotate_api_key import rotate_api_key
from controlplane.actions.rotate_master_key import rotate_master_key
from controlplane.actions.rotate_token import rotate_token
from controlplane.actions.scale_deployment import scale_deployment
from controlplane.actions.set_channel import change_channel, create_channel
from controlplane.actions.set_limit import set_limit
from controlplane.actions.set_price import set_price
from controlplane.actions.set_route import change_route, create_route
from controlplane.actions.try_channel import try_channel
from controlplane.actions.unlock_user import unlock_user
from controlplane.errors import NotAllowed
from controlplane.models import BodyKey, ManagementToken, Model, SqlReader, User
from tests import factories
from tests.audit.months import old_month

pytestmark = pytest.mark.django_db
BEFORE = secrets.token_bytes(32)


def a_token() -> ManagementToken:
    return ManagementToken.objects.create(user=factories.UserFactory(), name="t", digest="d")


def a_machines_token() -> ManagementToken:
    return ManagementToken.objects.create(service_account=factories.ServiceAccountFactory(), name="t", digest="m")


def _locked_user() -> User:
    user = factories.UserFactory()
    attempts.admit(user.username, None, timezone.now())
    return user


def _an_event() -> Event:
    """Of a request; in memory alone, so that what is in the register is what the action leaves."""
    return Event(operation="inference.chat", project=factories.ProjectFactory().name, at=timezone.now())


def _kept() -> BodyKey:
    return factories.BodyKeyFactory(person="dora")


def _rotate(actor: Actor) -> object:
    """With one secret under the key before."""
    with override_settings(MASTER_KEY=BEFORE):
        factories.DeploymentFactory(engine_env={"A": "1"})
    with override_settings(MASTER_KEY_PREVIOUS=BEFORE):
        return rotate_master_key(actor=actor)


def _retire(actor: Actor) -> object:
    with old_month() as month:
        return retire_month(month, actor=actor, reason="r")


def _finished(actor: Actor) -> object:
    """Asked for by whoever fetches it."""
    return factories.ExportFactory(
        requester_type=actor.type, requester_id=actor.id, state="done", expires_at=timezone.now() + timedelta(hours=1)
    )


ATTEMPTS: dict[str, Callable[[Actor], Any]] = {
    "place_hold": lambda actor: place_hold(of="project", name=factories.ProjectFactory().name, actor=actor, reason="r"),
    "retire_month": _retire,
    "lift_hold": lambda actor: lift_hold(
        Hold.objects.create(of="actor", name="k", reason="r", placed_by="p"), actor=actor, reason="r"
    ),
    "lift_suspension": lambda actor: lift_suspension(factories.SuspensionFactory(), actor=actor, reason="r"),
    "request_export": lambda actor: request_export(form=Format.CSV, selection=Selection(), actor=actor),
    "cancel_export": lambda actor: cancel_export(factories.ExportFactory(), actor=actor, reason="r"),
    "download_export": lambda actor: download_export(_finished(actor), "content", actor=actor),
    "create_project": lambda actor: create_project(name="p", actor=actor),
    "change_project": lambda actor: change_project(factories.ProjectFactory(), title="t", actor=actor),
    "create_model": lambda actor: create_model(name="m", actor=actor),
    "create_version": lambda actor: create_version(factories.ModelFactory(), name="v", source="/x", actor=actor),
    "set_price": lambda actor: set_price(factories.VersionFactory(), prompt_price_micros=1, actor=actor),
    "retire_version": lambda actor: retire_version(factories.VersionFactory(), actor=actor, reason="r"),
    "create_deployment": lambda actor: create_deployment(name="d", version=factories.VersionFactory(), actor=actor),
    "change_deployment": lambda actor: change_deployment(factories.DeploymentFactory(), drain_seconds=1, actor=actor),
    "scale_deployment": lambda actor: scale_deployment(factories.DeploymentFactory(), replicas=2, actor=actor),
    "delete_deployment": lambda actor: delete_deployment(factories.DeploymentFactory(), actor=actor, reason="r"),
    "create_route": lambda actor: create_route(name="r", targets={}, actor=actor),
    "change_route": lambda actor: change_route(factories.TargetFactory().route, targets={}, actor=actor),
    "delete_route": lambda actor: delete_route(factories.RouteFactory(), actor=actor, reason="r"),
    "connect_engine": lambda actor: connect_engine("http://e:1", model="m", route="r", actor=actor),
    "create_api_key": lambda actor: create_api_key(project=factories.ProjectFactory(), name="k", actor=actor),
    "change_api_key": lambda actor: change_api_key(factories.ApiKeyFactory(), name="new", actor=actor),
    "rotate_api_key": lambda actor: rotate_api_key(factories.ApiKeyFactory(), actor=actor),
    "revoke_api_key": lambda actor: revoke_api_key(factories.ApiKeyFactory(), actor=actor, reason="r"),
    "set_limit": lambda actor: set_limit(route=factories.RouteFactory(), concurrency=1, actor=actor),
    "remove_limit": lambda actor: remove_limit(
        factories.LimitFactory(route=factories.RouteFactory()), actor=actor, reason="r"
    ),
    "create_user": lambda actor: create_user(username="dora", password="p", actor=actor),
    "issue_password": lambda actor: issue_password(factories.UserFactory(), password="p", actor=actor, reason="r"),
    "change_password": lambda actor: change_password(factories.UserFactory(), password="p", actor=actor),
    "create_token": lambda actor: create_token(factories.ServiceAccountFactory(), name="t", actor=actor),
    "rotate_token": lambda actor: rotate_token(a_machines_token(), overlap=timedelta(0), actor=actor),
    "create_service_account": lambda actor: create_service_account(name="ci", actor=actor),
    "change_service_account": lambda actor: change_service_account(
        factories.ServiceAccountFactory(), is_active=False, actor=actor, reason="r"
    ),
    "disable_user": lambda actor: disable_user(factories.UserFactory(), actor=actor, reason="r"),
    "enable_user": lambda actor: enable_user(factories.UserFactory(is_active=False), actor=actor),
    "unlock_user": lambda actor: unlock_user(_locked_user(), actor=actor),
    "grant_role": lambda actor: grant_role(factories.UserFactory(), role="viewer", actor=actor),
    "revoke_role": lambda actor: revoke_role(
        factories.BindingFactory(user=factories.UserFactory()), actor=actor, reason="r"
    ),
    "rotate_master_key": _rotate,
    "release_bodies": lambda actor: release_bodies(
        factories.ProjectFactory(),
        since=timezone.now(),
        until=timezone.now(),
        days=1,
        now=timezone.now(),
        actor=actor,
        reason="r",
    ),
    "admit_sql_reader": lambda actor: admit_sql_reader("pg_monitor", actor=actor),
    "dismiss_sql_reader": lambda actor: dismiss_sql_reader(
        SqlReader.objects.create(role="r", project=None), actor=actor, reason="r"
    ),
    "read_bodies": lambda actor: read_bodies(_an_event(), actor=actor, reason="r"),
    "erase_bodies": lambda actor: erase_bodies(_kept().project, person="dora", actor=actor, reason="r"),
    "end_session": lambda actor: end_session(factories.SessionFactory(), actor=actor, reason="r"),
    "end_sessions": lambda actor: end_sessions(factories.SessionFactory().user, actor=actor, reason="r"),
    "revoke_token": lambda actor: revoke_token(a_token(), actor=actor, reason="r"),
    "create_alert_rule": lambda actor: create_alert_rule(
        name="r", metric="kv_cache_use", aggregation="avg", threshold=85.0, actor=actor
    ),
    "change_alert_rule": lambda actor: change_alert_rule(factories.AlertRuleFactory(), threshold=9.0, actor=actor),
    "delete_alert_rule": lambda actor: delete_alert_rule(factories.AlertRuleFactory(), actor=actor, reason="r"),
    "acknowledge_alert": lambda actor: acknowledge_alert(factories.AlertFactory(), actor=actor),
    "create_silence": lambda actor: create_silence(
        starts_at=timezone.now(), ends_at=timezone.now() + timedelta(hours=1), comment="c", actor=actor
    ),
    "end_silence": lambda actor: end_silence(factories.SilenceFactory(), actor=actor),
    "create_channel": lambda actor: create_channel(
        name="c", kind="webhook", url="https://alerts.example.com/h", actor=actor
    ),
    "change_channel": lambda actor: change_channel(factories.ChannelFactory(), name="new", actor=actor),
    "try_channel": lambda actor: try_channel(factories.ChannelFactory(), actor=actor),
    "delete_channel": lambda actor: delete_channel(factories.ChannelFactory(), actor=actor, reason="r"),
}


AUDITORS = ("read_bodies", "request_export", "cancel_export", "download_export")
REFUSED = [(action, who) for action in ATTEMPTS for who in ("vera", "audrey", "charlie", "nobody")]
for _action in AUDITORS:
    REFUSED.remove((_action, "audrey"))


@pytest.mark.parametrize(("action", "who"), REFUSED)
def test_refused(action: str, who: str, request: pytest.FixtureRequest, events: Callable[[], list[Event]]) -> None:
    with pytest.raises(NotAllowed):
        ATTEMPTS[action](request.getfixturevalue(who))
    assert events() == []


@pytest.mark.parametrize("action", sorted(ATTEMPTS.keys() - {"change_password"}))
def test_owner_may(action: str, alice: Actor, events: Callable[[], list[Event]]) -> None:
    ATTEMPTS[action](alice)
    assert {event.actor_name for event in events()} == {"alice"}


def test_right_taken_away_works_at_once(alice: Actor, alice_user: User) -> None:
    alice_user.role_bindings.all().delete()
    with pytest.raises(NotAllowed):
        create_model(name="m", actor=alice)
    assert not Model.objects.exists()


def test_inactive_owner_may_nothing(alice: Actor, alice_user: User) -> None:
    alice_user.is_active = False
    alice_user.save()
    with pytest.raises(NotAllowed):
        create_model(name="m", actor=alice)
