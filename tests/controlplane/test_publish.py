"""The gateway's tables in a real Redis: full, in part, after a wipe, and with Redis away."""

from unittest.mock import patch

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from redis import Redis
from redis.exceptions import RedisError

from controlplane import gateway_tables, publish
from inference.contract import tables
from tests import factories

pytestmark = pytest.mark.django_db
AWAY = Redis(port=9, socket_connect_timeout=0.05, retry=None)


def test_hundred_keys_and_none_that_ended(redis: Redis) -> None:
    keys = factories.ApiKeyFactory.create_batch(100, project=factories.ProjectFactory())
    factories.ApiKeyFactory(revoked_at=timezone.now())
    factories.ApiKeyFactory(expires_at=timezone.now())
    publish.publish_all()
    assert {key.decode() for key in redis.hkeys(tables.KEYS)} == {key.key_id for key in keys}


def test_keys_in_batches(redis: Redis) -> None:
    factories.ApiKeyFactory.create_batch(7, project=factories.ProjectFactory())
    with patch("controlplane.publish.KEYS_A_BATCH", 3):
        publish.publish_all()
    assert redis.hlen(tables.KEYS) == 7


def test_key_that_ended_is_taken_out_by_the_full_pass(redis: Redis) -> None:
    key = factories.ApiKeyFactory()
    publish.publish_all()
    key.revoked_at = timezone.now()
    key.save()
    publish.publish_all()
    assert not redis.exists(tables.KEYS)


def test_wiped_redis_is_noticed_and_filled(redis: Redis) -> None:
    key = factories.ApiKeyFactory()
    publish.publish_all()
    assert publish.published()
    redis.flushdb()
    assert not publish.published()
    publish.publish_all()
    assert redis.hexists(tables.KEYS, key.key_id)


def test_each_full_pass_is_a_new_generation(redis: Redis) -> None:
    publish.publish_all()
    first = redis.get(tables.GENERATION)
    publish.publish_all()
    assert redis.get(tables.GENERATION) != first
    assert redis.xrevrange(tables.CHANGES, count=1)[0][1][b"kind"] == b"all"


def test_no_half_filled_hash_stays(redis: Redis) -> None:
    factories.ApiKeyFactory()
    publish.publish_all()
    assert redis.keys(tables.KEYS + "*") == [tables.KEYS.encode()]
    assert redis.ttl(tables.KEYS) == -1


def test_same_routes_are_announced_once(redis: Redis) -> None:
    factories.TargetFactory()
    publish.publish_routes()
    publish.publish_routes()
    assert redis.xlen(tables.CHANGES) == 1


def test_only_ready_replicas_take_traffic(redis: Redis) -> None:
    target = factories.TargetFactory()
    ready = factories.ReplicaFactory(deployment=target.deployment, url="http://127.0.0.1:9001")
    factories.ReplicaFactory(deployment=target.deployment, state="starting")
    [route] = gateway_tables.route_table().routes
    [entry] = route.targets[0].replicas
    assert (entry.name, entry.url) == (ready.name, "http://127.0.0.1:9001")
    assert len(entry.key) == 64


def test_external_engine_gets_no_key_of_ours() -> None:
    target = factories.TargetFactory(deployment__flavour="external", deployment__backend="external")
    factories.ReplicaFactory(deployment=target.deployment)
    [route] = gateway_tables.route_table().routes
    assert route.targets[0].replicas[0].key == ""


def test_context_length_is_the_shortest_of_the_targets() -> None:
    route = factories.RouteFactory()
    for length in (4096, 2048, None):
        factories.TargetFactory(route=route, deployment__version__max_model_len=length)
    [entry] = gateway_tables.route_table().routes
    assert entry.max_model_len == 2048


def test_project_of_route() -> None:
    factories.RouteFactory(name="mine", project=factories.ProjectFactory(name="team-a"))
    factories.RouteFactory(name="all")
    assert {route.name: route.project for route in gateway_tables.route_table().routes} == {
        "mine": "team-a",
        "all": None,
    }


def test_table_costs_the_same_for_more_routes() -> None:
    def queries() -> int:
        with CaptureQueriesContext(connection) as captured:
            gateway_tables.route_table()
        return len(captured)

    factories.TargetFactory()
    with_one = queries()
    for _ in range(10):
        factories.ReplicaFactory(deployment=factories.TargetFactory().deployment)
    assert queries() == with_one


def test_redis_away_is_no_error_of_an_action() -> None:
    with patch("controlplane.publish.redis_client", return_value=AWAY):
        publish.publish_key(factories.ApiKeyFactory())
        publish.publish_routes()


def test_redis_away_is_an_error_of_the_full_pass() -> None:
    with patch("controlplane.publish.redis_client", return_value=AWAY), pytest.raises(RedisError):
        publish.publish_all()
