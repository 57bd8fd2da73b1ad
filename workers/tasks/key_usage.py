"""When keys were last used: the gateways tell Redis, this writes it down once a minute for all of them at once."""

import contextlib
import logging
import secrets
from typing import cast

from celery import shared_task
from django.db import connection
from redis import Redis
from redis.exceptions import RedisError, ResponseError

from controlplane.publish import redis_client
from inference.contract.tables import PREVIOUS, USED

logger = logging.getLogger(__name__)

_WRITE = """
UPDATE controlplane_apikey AS key
SET last_used_at = greatest(key.last_used_at, used.at),
    previous_last_used_at = CASE WHEN used.previous THEN greatest(key.previous_last_used_at, used.at)
                            ELSE key.previous_last_used_at END
FROM (
    SELECT key_id, previous, to_timestamp(at) AS at
    FROM unnest(%s::text[], %s::boolean[], %s::bigint[]) AS told (key_id, previous, at)
) AS used
WHERE key.key_id = used.key_id
"""


@shared_task
def write_key_usage() -> None:
    """Take over what the gateways told. A worker that dies on the way leaves its part to the next one."""
    try:
        client = redis_client()
        with contextlib.suppress(ResponseError):  # nothing was used
            client.rename(USED, f"{USED}:{secrets.token_hex(8)}")
        for name in list(client.scan_iter(f"{USED}:*")):
            _take_over(client, name)
    except RedisError as exc:
        logger.warning("when keys were used is written down later: %s", exc)


def _take_over(client: Redis, name: bytes) -> None:
    """Written before it is forgotten; written twice it says the same."""
    found = cast("dict[bytes, bytes]", client.hgetall(name))
    told = {secret.decode(): int(at) for secret, at in found.items()}
    for previous in (True, False):  # apart: one row is updated once in a statement
        _write({secret: at for secret, at in told.items() if secret.endswith(PREVIOUS) is previous}, previous=previous)
    client.delete(name)


def _write(told: dict[str, int], *, previous: bool) -> None:
    ids = [secret.removesuffix(PREVIOUS) for secret in told]
    if ids:
        with connection.cursor() as cursor:
            cursor.execute(_WRITE, [ids, [previous] * len(ids), list(told.values())])
