"""Publishing the gateway's tables to Redis: after a commit, and in full by the workers' periodic pass.

A lost message costs seconds, never truth: the tables themselves stand in Redis, and the full publish renews them.

Many publish at once, and who reads PostgreSQL first may write to Redis last. So each reads and writes in one
transaction of Redis (``WATCH``), and reads again where another has written meanwhile: what stands in Redis is never
older than the last change that was published.
"""

import logging
import secrets
from collections.abc import Callable, Collection, Iterable, Iterator
from functools import cache
from typing import TypeVar
from uuid import UUID

from django.conf import settings
from redis import Redis
from redis.backoff import NoBackoff
from redis.client import Pipeline
from redis.exceptions import RedisError
from redis.retry import Retry
from redis.utils import str_if_bytes

from controlplane import body_keys, gateway_tables
from controlplane.access import scope
from controlplane.models import ApiKey, Project
from inference.contract import limits, tables

logger = logging.getLogger(__name__)

KEYS_A_BATCH = 5_000
CHANGES_A_BATCH = 200
FILLED_WITHIN = 600
"""seconds; a hash that nobody has finished by then goes away by itself"""
MOST_PASSES = 5
TOUCHED = tables.PREFIX + "touched"
"""a hash, key id -> how often it was published since the last full pass, which so misses none; no gateway reads it"""

_T = TypeVar("_T")
_Change = Callable[[Pipeline], None]


@cache
def redis_client() -> Redis:
    """The process's client; redis-py's pool makes it safe to share between threads."""
    return client_of(settings.REDIS_URL)


def client_of(url: str) -> Redis:
    """A new client.

    One more try at once mends a connection that a restarted Redis had cut. Further ones would hold up whoever waits for
    an action or a probe for seconds, as redis-py's own do: what was not said now is said by the next full pass.
    """
    retry = Retry(NoBackoff(), 1)
    return Redis.from_url(url, socket_timeout=5, socket_connect_timeout=2, retry=retry)


def publish_routes() -> None:
    """Write the route table and announce it, if it differs from what Redis holds. Redis down is logged, not raised."""
    _publish_value(tables.ROUTES, gateway_tables.encoded_route_table, tables.CHANGE_ROUTES)


def publish_limits() -> None:
    """Write the limits of projects and routes and announce them, if they differ from what Redis holds."""
    _publish_value(limits.TABLE, gateway_tables.encoded_limit_table, tables.CHANGE_LIMITS)


def publish_key(key: ApiKey) -> None:
    """Write one key as it now is, or take it out when it may not be used any more, and announce it."""
    _publish_keys([key.pk])


@scope.everything()
def publish_keys_of(project: Project) -> None:
    """Write the keys of a project anew: some of what they tell stands in the project."""
    chosen = ApiKey.objects.usable().filter(project=project).values_list("pk", flat=True)
    for batch in _in_batches(chosen.iterator(KEYS_A_BATCH), CHANGES_A_BATCH):
        _publish_keys(batch)


@scope.everything()
def publish_all() -> None:
    """Write everything anew under a new generation. Raises `RedisError` when Redis is away.

    Keys are put into a second hash that takes the place of the first in one step, so no gateway sees half of them.
    """
    for _ in range(MOST_PASSES):
        try:
            return _replace_all(redis_client())
        except _Overtaken:
            continue
    raise RedisError(f"Another full pass, or a wipe of Redis, came between {MOST_PASSES} times in a row.")


def published() -> bool:
    """True when Redis holds a full set of tables: False after it was wiped. Raises `RedisError` when it is away."""
    return bool(redis_client().exists(tables.GENERATION))


def _in_turn(kind: str, change: _Change, watched: str) -> None:
    """`change` reads, and then says what is to be written; all of it anew if somebody else wrote `watched` since."""
    try:
        redis_client().transaction(change, watched)
    except RedisError as exc:
        logger.warning("%s not published, the periodic pass will: %s", kind, exc)


def _publish_value(name: str, encoded: Callable[[], bytes], kind: str) -> None:
    def change(pipeline: Pipeline) -> None:
        held, payload = pipeline.get(name), encoded()
        pipeline.multi()
        pipeline.set(name, payload)  # the same one too: whoever has read before has to notice
        if held != payload:
            _announce(pipeline, kind)

    _in_turn(kind, change, name)


def _announce(pipeline: Pipeline, kind: str, key_id: str = "") -> None:
    pipeline.xadd(tables.CHANGES, {"kind": kind, "id": key_id}, maxlen=tables.CHANGES_KEPT, approximate=True)


@scope.everything()
def _publish_keys(chosen: Collection[UUID]) -> None:
    def change(pipeline: Pipeline) -> None:
        keys = list(gateway_tables.keys().filter(pk__in=chosen))
        entries = _entries(keys)
        pipeline.multi()
        for key in keys:
            _put(pipeline, tables.KEYS, key.key_id, entries.get(key.key_id))
            pipeline.hincrby(TOUCHED, key.key_id, 1)
            _announce(pipeline, tables.CHANGE_KEY, key.key_id)

    _in_turn(tables.CHANGE_KEY, change, TOUCHED)


def _entries(keys: Iterable[ApiKey]) -> dict[str, bytes]:
    """Of those that may be used, as they lie in Redis."""
    usable = [key for key in keys if key.usable]
    owners = body_keys.published(usable)
    return {key.key_id: tables.encode(gateway_tables.key_entry(key, owners)) for key in usable}


def _put(pipeline: Pipeline, name: str, key_id: str, entry: bytes | None) -> None:
    if entry is None:
        pipeline.hdel(name, key_id)
    else:
        pipeline.hset(name, key_id, entry)


class _Overtaken(Exception):
    """Another full pass was done first, whose keys may be newer, or Redis was wiped meanwhile: begin anew."""


class _Fresh:
    """The hash of keys that is to take the place of the one in use."""

    def __init__(self, client: Redis) -> None:
        self._client = client
        self._touched = client.hgetall(TOUCHED)
        self._ids = set[str]()
        self.name = f"{tables.KEYS}.new.{secrets.token_hex(8)}"

    def fill(self) -> None:
        """With all keys that may be used."""
        for batch in _in_batches(
            gateway_tables.keys().filter(pk__in=ApiKey.objects.usable()).iterator(KEYS_A_BATCH), KEYS_A_BATCH
        ):
            self._write({key.key_id for key in batch}, batch)

    def catch_up(self, touched: dict[bytes | str, bytes | str]) -> None:
        """Write those anew that were published since they were read."""
        changed = {str_if_bytes(key_id) for key_id, times in touched.items() if self._touched.get(key_id) != times}
        for batch in _in_batches(sorted(changed), KEYS_A_BATCH):
            self._write(batch, list(gateway_tables.keys().filter(key_id__in=batch)))
        self._touched = touched

    def is_whole(self) -> bool:
        """False when Redis was wiped meanwhile."""
        return bool(self._client.hlen(self.name) == len(self._ids))

    def take_place(self, pipeline: Pipeline) -> None:
        """No key at all is no hash at all: there is nothing to rename then."""
        if self._ids:
            pipeline.rename(self.name, tables.KEYS)
            pipeline.persist(tables.KEYS)
        else:
            pipeline.delete(tables.KEYS)
        pipeline.delete(TOUCHED)

    def _write(self, ids: Collection[str], keys: list[ApiKey]) -> None:
        entries = _entries(keys)
        with self._client.pipeline(transaction=False) as pipeline:
            for key_id in ids:
                _put(pipeline, self.name, key_id, entries.get(key_id))
            pipeline.expire(self.name, FILLED_WITHIN)
            pipeline.execute()
        self._ids = (self._ids - set(ids)) | entries.keys()


def _replace_all(client: Redis) -> None:
    generation = client.get(tables.GENERATION)
    fresh = _Fresh(client)
    fresh.fill()

    def change(pipeline: Pipeline) -> None:
        fresh.catch_up(pipeline.hgetall(TOUCHED))
        routes, limit_table = gateway_tables.encoded_route_table(), gateway_tables.encoded_limit_table()
        if pipeline.get(tables.GENERATION) != generation or not fresh.is_whole():
            raise _Overtaken
        pipeline.multi()
        fresh.take_place(pipeline)
        pipeline.set(tables.ROUTES, routes)
        pipeline.set(limits.TABLE, limit_table)
        pipeline.set(tables.GENERATION, secrets.token_hex(8))
        _announce(pipeline, tables.CHANGE_ALL)

    try:
        client.transaction(change, TOUCHED, tables.ROUTES, limits.TABLE, tables.GENERATION)
    finally:
        client.delete(fresh.name)


def _in_batches(things: Iterable[_T], size: int) -> Iterator[list[_T]]:
    batch: list[_T] = []
    for thing in things:
        batch.append(thing)
        if len(batch) == size:
            yield batch
            batch = []
    if batch:
        yield batch
