"""The gateway's tables in memory, followed from Redis; `inference.contract.tables` says what lies where.

What is known stays known: a wiped or absent Redis changes nothing until a new generation is published.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Mapping
from typing import Any

import msgspec
from redis.asyncio import Redis
from redis.exceptions import RedisError

from inference import snapshot
from inference.contract import limits, tables
from inference.contract.engine_keys import EngineKeys
from inference.errors import TablesMissing
from inference.snapshot import Snapshot
from inference.timeouts import DEFAULTS, Timeouts

logger = logging.getLogger(__name__)

GENERATION_EVERY = 1.0
KEYS_A_SCAN = 2_000
CHANGES_A_READ = 1_000
FIRST_BACKOFF, LAST_BACKOFF = 0.1, 1.0

Changes = list[tuple[bytes, Mapping[bytes, bytes]]]


class Tables:
    """Routes and limits as a snapshot, keys as they were published (each is decoded when it is first used)."""

    def __init__(self, redis: Redis, secret_key: str, timeouts: Timeouts = DEFAULTS) -> None:
        self._timeouts = timeouts
        self._engine_keys = EngineKeys(secret_key)
        self._redis: Any = redis  # its stubs leave open whether an answer is bytes or text; here all are bytes
        self._generation: bytes | None = None
        self._position = b"0-0"
        self._checked = 0.0
        self._snapshot = snapshot.EMPTY
        self.keys: dict[str, bytes] = {}
        self.on_routes: Callable[[Snapshot], None] = lambda _: None
        """told whenever routes were read"""
        self.trouble = "tables not read yet"
        """why Redis cannot be followed now; empty when it can"""

    @property
    def loaded(self) -> bool:
        """True once a full set was read, and for ever after."""
        return self._generation is not None

    @property
    def snapshot(self) -> Snapshot:
        """The routes and limits. Raises `TablesMissing` as long as none were ever read."""
        if self._generation is None:
            raise TablesMissing
        return self._snapshot

    async def follow(self) -> None:
        """Load and keep following, through every failure of Redis, until cancelled."""
        backoff = FIRST_BACKOFF
        while True:
            try:
                await self._reload()
                backoff = FIRST_BACKOFF
                while True:
                    _end_if_cancelled()
                    await self._step()
            except (RedisError, OSError, msgspec.MsgspecError) as exc:
                self._report(f"Redis cannot be read: {exc}")
            await asyncio.sleep(backoff)
            backoff = min(backoff * 2, LAST_BACKOFF)

    async def _step(self) -> None:
        """Wait up to a second for changes, apply them, and look once a second whether the generation still is ours."""
        wait = max(0.05, self._checked + GENERATION_EVERY - time.monotonic())
        answer = await self._redis.xread(
            {tables.CHANGES: self._position}, count=CHANGES_A_READ, block=round(wait * 1000)
        )
        if answer:
            await self._apply(answer[0][1])
        if time.monotonic() - self._checked >= GENERATION_EVERY:
            await self._check_generation()

    async def _check_generation(self) -> None:
        self._checked = time.monotonic()
        generation = await self._redis.get(tables.GENERATION)
        if generation is None:
            self._report("no tables in Redis; the console's workers publish them")
        elif generation != self._generation:
            await self._reload()
        else:
            self._report("")

    async def _apply(self, changes: Changes) -> None:
        self._position = changes[-1][0]
        await self._take_keys(changes, self.keys)  # first of all: a revocation waits for nothing else
        kinds = {fields.get(b"kind", b"").decode() for _, fields in changes}
        # A full batch may hide that older entries were trimmed away, and costs more than reading everything.
        if tables.CHANGE_ALL in kinds or len(changes) >= CHANGES_A_READ:
            await self._reload()
            return
        if tables.CHANGE_ROUTES in kinds:
            self._take_routes(await self._redis.get(tables.ROUTES))
        if tables.CHANGE_LIMITS in kinds:
            self._take_limits(await self._redis.get(limits.TABLE))

    async def _take_keys(self, changes: Changes, *into: dict[str, bytes]) -> None:
        """Bring the keys that `changes` name up to date."""
        key = tables.CHANGE_KEY.encode()
        names = sorted({fields.get(b"id", b"").decode() for _, fields in changes if fields.get(b"kind") == key})
        if not names:
            return
        for name, entry in zip(names, await self._redis.hmget(tables.KEYS, names), strict=True):
            for keys in into:
                if entry is None:
                    keys.pop(name, None)
                else:
                    keys[name] = entry

    def _take_routes(self, payload: bytes | None) -> None:
        if payload is not None:
            table = self._engine_keys.opened(tables.decode_routes(payload), logger.error)
            self._snapshot = snapshot.build(table, self._snapshot.limits, self._timeouts)
            self.on_routes(self._snapshot)

    def _take_limits(self, payload: bytes | None) -> None:
        """Absent limits change nothing: a limit is taken away by a table without it, never by a lost one."""
        if payload is not None:
            self._snapshot = snapshot.with_limits(self._snapshot, limits.decode_table(payload))

    async def _reload(self) -> None:
        """Read everything. Repeated when a full publish came in between, so the result is of one generation."""
        while True:
            generation = await self._redis.get(tables.GENERATION)
            self._checked = time.monotonic()
            if generation is None:
                self._report("no tables in Redis; the console's workers publish them")
                await asyncio.sleep(GENERATION_EVERY / 4)
                continue
            last = await self._redis.xrevrange(tables.CHANGES, count=1)
            routes, limited = await self._redis.mget(tables.ROUTES, limits.TABLE)
            keys = await self._scan_keys()
            if await self._redis.get(tables.GENERATION) == generation:
                break
        self._position = last[0][0] if last else b"0-0"
        self._take_routes(routes)
        self._take_limits(limited)
        self.keys = keys
        self._generation = generation
        self._report("")
        logger.info("tables loaded: %d routes, %d keys", len(self._snapshot.routes), len(keys))

    async def _scan_keys(self) -> dict[str, bytes]:
        """All keys, in batches, so that requests are served while 100,000 of them arrive.

        What is revoked meanwhile is out at once, not only when the last batch has come.
        """
        keys: dict[str, bytes] = {}
        cursor, position = 0, self._position
        while True:
            cursor, batch = await self._redis.hscan(tables.KEYS, cursor, count=KEYS_A_SCAN)
            keys.update((name.decode(), entry) for name, entry in batch.items())
            if answer := await self._redis.xread({tables.CHANGES: position}, count=CHANGES_A_READ):
                changes = answer[0][1]
                await self._take_keys(changes, self.keys, keys)
                position = changes[-1][0]
            if cursor == 0:
                return keys

    def _report(self, trouble: str) -> None:
        if trouble != self.trouble:
            self.trouble = trouble
            logger.log(logging.WARNING if trouble else logging.INFO, "tables: %s", trouble or "following Redis")


def _end_if_cancelled() -> None:
    """Up to Python 3.11 `asyncio.wait_for`, through which redis-py writes, may lose a cancellation.

    https://github.com/python/cpython/issues/86296
    """
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError


def connect(url: str) -> Redis:
    """A client with time-outs, so that a hung Redis is noticed as well as a dead one."""
    return Redis.from_url(url, socket_timeout=5, socket_connect_timeout=2)
