"""When keys were last used is told by gateways in passing and written down for all at once."""

from datetime import UTC, datetime
from typing import Any

import pytest
from django.conf import settings
from redis import Redis
from redis.asyncio import Redis as AsyncRedis

from controlplane import gateway_tables
from controlplane.actions.rotate_api_key import rotate_api_key
from controlplane.models import ApiKey
from inference.auth import Authenticator
from inference.contract import tables
from inference.key_usage import hand_on
from tests.factories import ApiKeyFactory
from workers.tasks.key_usage import write_key_usage

pytestmark = pytest.mark.django_db


def moment(seconds: int) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


def test_use_is_written_down(redis: Redis) -> None:
    key, other = ApiKeyFactory(), ApiKeyFactory()
    redis.hset(tables.USED, key.key_id, 1_800_000_000)
    write_key_usage()
    key.refresh_from_db()
    other.refresh_from_db()
    assert (key.last_used_at, key.previous_last_used_at, other.last_used_at) == (moment(1_800_000_000), None, None)
    assert not list(redis.scan_iter(f"{tables.USED}*"))


def test_old_secret_counts_for_the_key_and_for_itself(redis: Redis) -> None:
    key = ApiKeyFactory()
    redis.hset(tables.USED, mapping={key.key_id: 1_800_000_060, key.key_id + tables.PREVIOUS: 1_800_000_000})
    write_key_usage()
    key.refresh_from_db()
    assert (key.last_used_at, key.previous_last_used_at) == (moment(1_800_000_060), moment(1_800_000_000))


def test_late_news_do_not_turn_time_back(redis: Redis) -> None:
    key = ApiKeyFactory(last_used_at=moment(1_800_000_060))
    redis.hset(tables.USED, key.key_id, 1_800_000_000)
    write_key_usage()
    key.refresh_from_db()
    assert key.last_used_at == moment(1_800_000_060)


def test_part_of_a_worker_that_died_is_taken_over(redis: Redis) -> None:
    key = ApiKeyFactory()
    redis.hset(f"{tables.USED}:of-the-dead", key.key_id, 1_800_000_000)
    write_key_usage()
    key.refresh_from_db()
    assert key.last_used_at == moment(1_800_000_000)
    assert not list(redis.scan_iter(f"{tables.USED}*"))


def test_thousand_keys_cost_one_statement(redis: Redis, django_assert_num_queries: Any) -> None:
    made = [ApiKeyFactory() for _ in range(20)]
    redis.hset(tables.USED, mapping={key.key_id: 1_800_000_000 for key in made})
    with django_assert_num_queries(1):
        write_key_usage()
    assert ApiKey.objects.filter(last_used_at=moment(1_800_000_000)).count() == 20


def test_use_is_no_change(redis: Redis) -> None:
    key = ApiKeyFactory()
    redis.hset(tables.USED, key.key_id, 1_800_000_000)
    write_key_usage()
    assert ApiKey.objects.get().updated_at == key.updated_at


async def test_gateway_hands_on_what_it_let_in(redis: Redis) -> None:
    client = AsyncRedis.from_url(settings.REDIS_URL)
    keeper = Authenticator(None, "x" * 50)  # type: ignore[arg-type]
    keeper.used = {"aaaaaaaa", "bbbbbbbb" + tables.PREVIOUS}
    await hand_on(client, keeper, 1_800_000_000.7)
    assert keeper.used == set()
    assert redis.hgetall(tables.USED) == {b"aaaaaaaa": b"1800000000", b"bbbbbbbb~": b"1800000000"}
    await client.aclose()


async def test_while_redis_is_away_nothing_is_forgotten() -> None:
    client = AsyncRedis.from_url("redis://127.0.0.1:9/0")
    keeper = Authenticator(None, "x" * 50)  # type: ignore[arg-type]
    keeper.used = {"aaaaaaaa"}
    await hand_on(client, keeper, 1_800_000_000)
    assert keeper.used == {"aaaaaaaa"}
    await client.aclose()


def test_publishing_an_overlap(alice: Any, redis: Redis) -> None:
    key = ApiKeyFactory()
    rotate_api_key(key, actor=alice)
    entry = gateway_tables.key_entry(ApiKey.objects.get())
    assert (entry.previous_digest, entry.previous_expires > 0) == (key.digest, True)
    ApiKey.objects.update(previous_expires_at=moment(1_000_000_000))
    assert gateway_tables.key_entry(ApiKey.objects.get()).previous_digest == ""
