"""Who has read before somebody else's change never writes over it: the tables are as new as the last that was told."""

from collections.abc import Callable
from typing import Any

import pytest
from django.utils import timezone
from redis import Redis
from redis.exceptions import RedisError

from controlplane import gateway_tables, publish
from controlplane.models import ApiKey, Replica
from inference.contract import tables
from tests import factories

pytestmark = pytest.mark.django_db


@pytest.fixture
def after_reading(monkeypatch: pytest.MonkeyPatch) -> Callable[[str, Callable[[], None]], None]:
    """`after_reading("key_entry", others)`: what the others do between the next reading of it and its writing."""

    def arrange(what: str, others: Callable[[], None]) -> None:
        read, todo = getattr(gateway_tables, what), [others]

        def slowly(*args: Any) -> Any:
            value = read(*args)
            if todo:
                todo.pop()()
            return value

        monkeypatch.setattr(gateway_tables, what, slowly)

    return arrange


Arrange = Callable[[str, Callable[[], None]], None]


def revoke(key: ApiKey) -> None:
    ApiKey.objects.filter(pk=key.pk).update(revoked_at=timezone.now())
    publish.publish_key(key)


def make_ready(replica: Replica) -> None:
    replica.state = "ready"
    replica.save()
    publish.publish_routes()


def replicas(redis: Redis) -> tuple[str, ...]:
    [route] = tables.decode_routes(redis.get(tables.ROUTES)).routes
    return tuple(replica.name for replica in route.targets[0].replicas)


def test_ready_replica_stays_in_the_table(redis: Redis, after_reading: Arrange) -> None:
    replica = factories.ReplicaFactory(deployment=factories.TargetFactory().deployment, state="starting")
    after_reading("encoded_route_table", lambda: make_ready(replica))
    publish.publish_routes()
    assert replicas(redis) == (replica.name,)


def test_change_there_and_back_is_noticed(redis: Redis, after_reading: Arrange) -> None:
    """What the other writes is what stands there already; what was read in between is not."""
    replica = factories.ReplicaFactory(deployment=factories.TargetFactory().deployment)
    publish.publish_routes()
    replica.state = "unhealthy"
    replica.save()
    after_reading("encoded_route_table", lambda: make_ready(replica))
    publish.publish_routes()
    assert replicas(redis) == (replica.name,)


def test_revoked_key_stays_out_whoever_publishes_it(redis: Redis, after_reading: Arrange) -> None:
    key = factories.ApiKeyFactory()
    after_reading("key_entry", lambda: revoke(key))
    publish.publish_key(key)
    assert not redis.exists(tables.KEYS)


def test_key_revoked_during_a_full_pass_stays_out(redis: Redis, after_reading: Arrange) -> None:
    key, other = factories.ApiKeyFactory(), factories.ApiKeyFactory()
    after_reading("key_entry", lambda: revoke(key))
    publish.publish_all()
    assert redis.hkeys(tables.KEYS) == [other.key_id.encode()]


def test_key_revoked_at_the_end_of_a_full_pass_stays_out(redis: Redis, after_reading: Arrange) -> None:
    key = factories.ApiKeyFactory()
    revoke(factories.ApiKeyFactory())
    after_reading("encoded_limit_table", lambda: revoke(key))
    publish.publish_all()
    assert not redis.exists(tables.KEYS)


def test_project_changed_during_a_full_pass(redis: Redis, after_reading: Arrange) -> None:
    key = factories.ApiKeyFactory()

    def other() -> None:
        key.project.register_mode = "metadata"
        key.project.save()
        publish.publish_keys_of(key.project)

    after_reading("key_entry", other)
    publish.publish_all()
    entry = tables.decode_key(redis.hget(tables.KEYS, key.key_id))
    assert entry.register_mode == "metadata"


def test_two_full_passes_at_once(redis: Redis, after_reading: Arrange) -> None:
    """The first to end is forgotten by the other, which begins anew: its keys may be older."""
    key, other = factories.ApiKeyFactory(), factories.ApiKeyFactory()

    def other_pass() -> None:
        revoke(key)
        publish.publish_all()

    after_reading("key_entry", other_pass)
    publish.publish_all()
    assert redis.hkeys(tables.KEYS) == [other.key_id.encode()]
    assert redis.keys(tables.KEYS + ".*") == []


def test_wipe_during_a_full_pass_loses_no_key(redis: Redis, after_reading: Arrange) -> None:
    keys = factories.ApiKeyFactory.create_batch(5)
    after_reading("encoded_route_table", redis.flushdb)
    publish.publish_all()
    assert redis.hlen(tables.KEYS) == len(keys)


def test_pass_that_is_always_overtaken_says_so(redis: Redis, monkeypatch: pytest.MonkeyPatch) -> None:
    factories.ApiKeyFactory()
    monkeypatch.setattr(gateway_tables, "encoded_limit_table", lambda: b"%d" % redis.incr(tables.GENERATION))
    with pytest.raises(RedisError, match="5 times in a row"):
        publish.publish_all()
