"""Telling when keys were last used: gathered in memory at no cost a request, handed to Redis every few seconds.

It is a hint for people who tidy up keys, not a record: what a dying process had not handed on yet is lost. The register
has every request.
"""

import asyncio
import logging
import time
from collections.abc import Callable

from redis.asyncio import Redis
from redis.exceptions import RedisError

from inference.auth import Authenticator
from inference.contract.tables import USED

logger = logging.getLogger(__name__)

EVERY_SECONDS = 5.0


async def tell(redis: Redis, keeper: Authenticator, clock: Callable[[], float] = time.time) -> None:
    """Hand on, for ever, which secrets were used. While Redis is away they are kept."""
    while True:
        await asyncio.sleep(EVERY_SECONDS)
        await hand_on(redis, keeper, clock())


async def hand_on(redis: Redis, keeper: Authenticator, now: float) -> None:
    """Hand on which secrets were used since the last time."""
    used, keeper.used = keeper.used, set()
    if not used:
        return
    try:
        await redis.hset(USED, mapping=dict.fromkeys(used, int(now)))
    except (RedisError, OSError) as exc:
        keeper.used |= used
        logger.debug("which keys were used is told later: %s", exc)
