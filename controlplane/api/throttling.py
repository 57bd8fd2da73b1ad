"""How often the management API may be asked: by one actor, and from one address by those whom nobody vouches for.

Counted in Redis over the last minute, in buckets of five seconds of which the partly expired one counts whole, so that
no minute ever holds more than the limit. Without Redis everybody is let in: this limit keeps one script from starving
the others, it guards no secret, and whoever has to mend Redis needs the API most of all.
"""

import logging
import time
from functools import cache

from django.conf import settings
from redis import Redis
from redis.backoff import NoBackoff
from redis.exceptions import RedisError
from redis.retry import Retry
from rest_framework.exceptions import Throttled
from rest_framework.request import Request
from rest_framework.throttling import BaseThrottle

from controlplane.models import ServiceAccount

logger = logging.getLogger(__name__)

PATIENCE_SECONDS = 0.25
SILENCE_SECONDS = 5.0
"""how long Redis is not asked again after it did not answer, so that its loss delays nobody"""

_TAKE = """
local now = tonumber(redis.call('TIME')[1])
local bucket = math.floor(now / 5)
local counts = redis.call('HGETALL', KEYS[1])
local total, oldest = 0, bucket
for place = 1, #counts, 2 do
  local at = tonumber(counts[place])
  if at < bucket - 12 then
    redis.call('HDEL', KEYS[1], counts[place])
  else
    total = total + tonumber(counts[place + 1])
    oldest = math.min(oldest, at)
  end
end
if total >= tonumber(ARGV[1]) then
  return (oldest + 13) * 5 - now
end
redis.call('HINCRBY', KEYS[1], bucket, 1)
redis.call('EXPIRE', KEYS[1], 70)
return 0
"""


class Counter:
    """The last minute's requests of everybody, in Redis."""

    def __init__(self, url: str) -> None:
        client = Redis.from_url(
            url, socket_timeout=PATIENCE_SECONDS, socket_connect_timeout=PATIENCE_SECONDS, retry=Retry(NoBackoff(), 1)
        )
        self._take = client.register_script(_TAKE)
        self._silent_until = 0.0

    def take(self, who: str, limit: int) -> int:
        """0 when `who` may ask once more, else the seconds until they may. 0 as well when Redis does not answer."""
        if time.monotonic() < self._silent_until:
            return 0
        try:
            return int(self._take(keys=[f"signalbox:api:asked:{who}"], args=[limit]))
        except RedisError as exc:
            self._silent_until = time.monotonic() + SILENCE_SECONDS
            logger.warning("requests are not counted, everybody is let in: %s", exc)
            return 0


class Rate(BaseThrottle):
    """DRF's throttle. It is asked after the permissions; `check_refused` counts those who came no further."""

    def allow_request(self, request: Request, view: object) -> bool:
        del view
        self._wait = _count(request)
        return not self._wait

    def wait(self) -> float:
        return float(self._wait)


def check_refused(request: Request) -> None:
    """Count somebody who was turned away before they were counted. Raises `Throttled` when they ask too often."""
    if not getattr(request, "signalbox_counted", False) and (wait := _count(request)):
        raise Throttled(wait=wait)


def _count(request: Request) -> int:
    request.signalbox_counted = True  # type: ignore[attr-defined]
    user = request.user
    if user.is_authenticated:
        kind = "machine" if isinstance(user, ServiceAccount) else "person"
        return counter(settings.REDIS_URL).take(f"{kind}:{user.pk}", settings.API_REQUESTS_PER_MINUTE)
    address = request.META.get("REMOTE_ADDR", "")
    return counter(settings.REDIS_URL).take(f"address:{address}", settings.API_STRANGERS_PER_MINUTE)


@cache
def counter(url: str) -> Counter:
    """This process's counter; redis-py's pool makes it safe to share between threads."""
    return Counter(url)
