"""Limits are set, replaced and removed by actions; the register says so and the gateways' tables follow."""

from collections.abc import Callable
from typing import Any

import pytest
from django.conf import settings
from django.db import IntegrityError, connection, transaction
from django.test.utils import CaptureQueriesContext
from redis import Redis

from audit.models import Event
from audit.record import Actor
from controlplane import publish
from controlplane.actions.delete_route import delete_route
from controlplane.actions.remove_limit import remove_limit
from controlplane.actions.set_limit import set_limit
from controlplane.actions.set_price import set_price
from controlplane.errors import Invalid, NotAllowed
from controlplane.models import Limit, RoleBinding, User
from controlplane.roles import Role
from inference.contract import limits, tables
from inference.contract.budgets import Budget, Price
from inference.contract.limits import PLATFORM, LimitEntry
from tests import factories

pytestmark = pytest.mark.django_db
Events = Callable[[], list[Event]]
Commit = Callable[..., Any]


def published(redis: Redis) -> tuple[LimitEntry, ...]:
    return limits.decode_table(redis.get(limits.TABLE)).limits


def key_limits(redis: Redis, key_id: str) -> tuple[LimitEntry, ...]:
    return tables.decode_key(redis.hget(tables.KEYS, key_id)).limits


def test_event_says_what_and_for_whom(alice: Actor, events: Events) -> None:
    key = factories.ApiKeyFactory(name="bot", project__name="team-a")
    set_limit(api_key=key, requests_per_minute=60, actor=alice, reason="fair use")
    [event] = events()
    assert (event.operation, event.project, event.reason) == ("limit.changed", "team-a", "fair use")
    assert event.target_name == str(key)
    assert event.changes == {"requests_per_minute": [None, 60]}


def test_second_one_takes_the_place_of_the_first(alice: Actor, events: Events) -> None:
    project = factories.ProjectFactory()
    set_limit(project=project, requests_per_minute=60, concurrency=2, actor=alice)
    set_limit(project=project, requests_per_minute=60, tokens_per_minute=5, actor=alice)
    limit = Limit.objects.get()
    assert (limit.requests_per_minute, limit.tokens_per_minute, limit.concurrency) == (60, 5, None)
    assert events()[-1].changes == {"tokens_per_minute": [None, 5], "concurrency": [2, None]}


def test_same_numbers_are_no_change(alice: Actor, events: Events) -> None:
    route = factories.RouteFactory()
    for _ in range(2):
        set_limit(route=route, concurrency=2, actor=alice)
    assert len(events()) == 1


@pytest.mark.parametrize(
    "subject", [{}, {"project": True, "api_key": True}, {"project": True, "foreign": True}], ids=str
)
def test_subject_must_make_sense(alice: Actor, subject: dict[str, bool]) -> None:
    made: dict[str, Any] = {}
    if "project" in subject:
        made["project"] = factories.ProjectFactory()
    if "api_key" in subject:
        made["api_key"] = factories.ApiKeyFactory()
    if "foreign" in subject:
        made["route"] = factories.RouteFactory(project=factories.ProjectFactory())
    with pytest.raises(Invalid):
        set_limit(**made, concurrency=1, actor=alice)
    assert not Limit.objects.exists()


@pytest.mark.parametrize("numbers", [{}, {"concurrency": -1}, {"tokens_per_minute": 10**10}], ids=str)
def test_numbers_must_make_sense(alice: Actor, numbers: dict[str, int]) -> None:
    with pytest.raises(Invalid):
        set_limit(project=factories.ProjectFactory(), **numbers, actor=alice)


def test_database_keeps_one_a_subject() -> None:
    project = factories.ProjectFactory()
    factories.LimitFactory(project=project)
    with pytest.raises(IntegrityError), transaction.atomic():
        factories.LimitFactory(project=project)


def test_table_names_every_kind_of_subject(redis: Redis) -> None:
    team = factories.ProjectFactory(name="team-a")
    own = factories.RouteFactory(name="own", project=team)
    common = factories.RouteFactory(name="common")
    for subject in ({"project": team}, {"project": team, "route": common}, {"route": own}, {"route": common}):
        factories.LimitFactory(**subject)
    factories.LimitFactory(api_key=factories.ApiKeyFactory())
    publish.publish_limits()
    assert [entry.name for entry in published(redis)] == [
        "team-a:p::", "team-a:p::common", "team-a:r::own", f"{PLATFORM}:r::common",
    ]  # fmt: skip


def test_is_published_when_committed(alice: Actor, redis: Redis, django_capture_on_commit_callbacks: Commit) -> None:
    with django_capture_on_commit_callbacks(execute=True):
        limit = set_limit(project=factories.ProjectFactory(name="team-a"), requests_per_minute=7, actor=alice)
    assert published(redis) == (LimitEntry("team-a", requests_per_minute=7),)
    assert redis.xrevrange(tables.CHANGES, count=1)[0][1][b"kind"] == b"limits"
    with django_capture_on_commit_callbacks(execute=True):
        remove_limit(limit, actor=alice, reason="over")
    assert published(redis) == ()


def test_keys_carry_theirs(alice: Actor, redis: Redis, django_capture_on_commit_callbacks: Commit) -> None:
    key, route = factories.ApiKeyFactory(project__name="team-a"), factories.RouteFactory(name="smol")
    with django_capture_on_commit_callbacks(execute=True):
        set_limit(api_key=key, tokens_per_minute=9, actor=alice)
        limit = set_limit(api_key=key, route=route, concurrency=1, actor=alice)
    expected = (
        LimitEntry("team-a", key=key.key_id, tokens_per_minute=9),
        LimitEntry("team-a", key=key.key_id, route="smol", concurrency=1),
    )
    assert key_limits(redis, key.key_id) == expected
    publish.publish_all()
    assert key_limits(redis, key.key_id) == expected
    with django_capture_on_commit_callbacks(execute=True):
        remove_limit(limit, actor=alice, reason="over")
    assert key_limits(redis, key.key_id) == expected[:1]


def test_full_pass_writes_the_table(redis: Redis) -> None:
    factories.LimitFactory(route=factories.RouteFactory(name="smol"))
    publish.publish_all()
    assert [entry.route for entry in published(redis)] == ["smol"]


def test_full_pass_asks_the_same_number_of_questions(redis: Redis, django_assert_num_queries: Commit) -> None:
    project = factories.ProjectFactory()
    for _ in range(7):
        factories.LimitFactory(api_key=factories.ApiKeyFactory(project=project), route=factories.RouteFactory())
    with CaptureQueriesContext(connection) as few:
        publish.publish_all()
    for _ in range(7):
        factories.LimitFactory(api_key=factories.ApiKeyFactory(project=project), route=factories.RouteFactory())
    with django_assert_num_queries(len(few)):
        publish.publish_all()
    assert all(len(key_limits(redis, key.key_id)) == 1 for key in project.api_keys.all())


def test_limits_go_with_their_route(
    alice: Actor, redis: Redis, events: Events, django_capture_on_commit_callbacks: Commit
) -> None:
    key, route = factories.ApiKeyFactory(), factories.RouteFactory(name="smol")
    factories.LimitFactory(route=route)
    factories.LimitFactory(route=route, api_key=key)
    publish.publish_all()
    with django_capture_on_commit_callbacks(execute=True):
        delete_route(route, actor=alice, reason="old")
    assert published(redis) == ()
    assert key_limits(redis, key.key_id) == ()
    assert sorted(events()[-1].detail["limits"]) == sorted(["smol", f"{key} × smol"])


def test_budgets_and_prices_reach_the_gateway(
    alice: Actor, redis: Redis, django_capture_on_commit_callbacks: Commit
) -> None:
    version, project = factories.VersionFactory(model__name="smol", name="v1"), factories.ProjectFactory()
    with django_capture_on_commit_callbacks(execute=True):
        limit = set_limit(project=project, tokens_per_day=1000, actor=alice)
        set_price(version, prompt_price_micros=3, completion_price_micros=5, actor=alice)
    table = limits.decode_table(redis.get(limits.TABLE))
    assert table.limits[0].budgets == (Budget(str(limit.pk), "tokens_per_day", 1000, settings.TIME_ZONE),)
    assert table.prices == {"smol:v1": Price(3, 5)}


def test_price_of_a_projects_own_model_is_the_platforms_word(charlie: Actor, charlie_user: User) -> None:
    """Or its people would make everything cost nothing, and their budget would bind nobody."""
    version = factories.VersionFactory(model__project=factories.ProjectFactory())
    RoleBinding.objects.create(user=charlie_user, role=Role.OWNER, project=version.model.project)
    with pytest.raises(NotAllowed):
        set_price(version, prompt_price_micros=0, actor=charlie)


def test_unknown_limit_is_a_mistake(alice: Actor) -> None:
    with pytest.raises(TypeError, match="tokens_per_year"):
        set_limit(project=factories.ProjectFactory(), tokens_per_year=1, actor=alice)
