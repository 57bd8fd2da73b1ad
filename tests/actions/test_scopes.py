"""Scopes of keys and the media hosts of projects: checked, written in one way, published to the gateway."""

from typing import Any

import pytest
from redis import Redis

from audit.models import Event
from audit.record import Actor
from controlplane import gateway_tables
from controlplane.actions.change_project import change_project
from controlplane.actions.create_api_key import create_api_key
from controlplane.actions.create_project import create_project
from controlplane.errors import Invalid
from controlplane.models import ApiKey
from inference.contract import tables
from tests.factories import ApiKeyFactory, ProjectFactory

pytestmark = pytest.mark.django_db


def made(alice: Actor, **scopes: Any) -> ApiKey:
    return create_api_key(project=ProjectFactory(), name="k", actor=alice, **scopes).key


def test_scopes_are_written_in_one_way(alice: Actor) -> None:
    key = made(alice, endpoints=["embedding", "chat", "chat"], cidrs=[" 10.1.2.3/8", "192.0.2.7", "2001:DB8::/32"])
    assert key.endpoints == ["chat", "embedding"]
    assert key.cidrs == ["10.0.0.0/8", "192.0.2.7/32", "2001:db8::/32"]


def test_no_scopes_are_none(alice: Actor) -> None:
    key = made(alice, endpoints=[], cidrs=[])
    assert (key.endpoints, key.cidrs) == (None, None)


@pytest.mark.parametrize(
    ("field", "value"),
    [("cidrs", "10.0.0.0/33"), ("cidrs", ""), ("cidrs", "host.example"), ("endpoints", "images"), ("endpoints", "")],
)
def test_bad_scope_is_refused(alice: Actor, field: str, value: str) -> None:
    with pytest.raises(Invalid) as refused:
        made(alice, **{field: [value]})
    assert refused.value.field == field


def test_gateway_is_told(alice: Actor) -> None:
    key = made(alice, endpoints=["chat"], cidrs=["10.0.0.0/8"])
    change_project(key.project, media_hosts=["*.Example.com"], actor=alice)
    entry = gateway_tables.key_entry(key)
    assert (entry.endpoints, entry.cidrs, entry.media_hosts) == (("chat",), ("10.0.0.0/8",), ("*.example.com",))


@pytest.mark.parametrize("host", ["http://a.example", "a.example:80", "*", "a.*.example", "", "a b", "-a", "a" * 254])
def test_bad_media_host_is_refused(alice: Actor, host: str) -> None:
    with pytest.raises(Invalid):
        create_project(name="p", media_hosts=[host], actor=alice)


def test_changed_project_publishes_its_keys(
    alice: Actor, redis: Redis, django_capture_on_commit_callbacks: Any
) -> None:
    key = ApiKeyFactory()
    with django_capture_on_commit_callbacks(execute=True):
        change_project(key.project, media_hosts=["a.example"], actor=alice)
    assert tables.decode_key(redis.hget(tables.KEYS, key.key_id)).media_hosts == ("a.example",)


def test_change_is_in_the_register_and_an_equal_one_is_none(alice: Actor) -> None:
    project = ProjectFactory(title="old")
    for _ in range(2):
        change_project(project, title="new", actor=alice, reason="renamed")
    event = Event.objects.get(operation="project.changed")
    assert event.changes == {"title": ["old", "new"]}


def test_register_mode_reaches_the_gateway(alice: Actor, redis: Redis, django_capture_on_commit_callbacks: Any) -> None:
    key = ApiKeyFactory()
    with django_capture_on_commit_callbacks(execute=True):
        change_project(key.project, register_mode="metadata", actor=alice)
    assert tables.decode_key(redis.hget(tables.KEYS, key.key_id)).register_mode == "metadata"
    assert Event.objects.get().changes == {"register_mode": ["digest", "metadata"]}


@pytest.mark.parametrize("mode", ["whole", "none", ""])
def test_register_mode_that_cannot_be_kept_is_refused(alice: Actor, mode: str) -> None:
    with pytest.raises(Invalid) as refused:
        create_project(name="p", register_mode=mode, actor=alice)
    assert refused.value.field == "register_mode"
