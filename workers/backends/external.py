"""Engines that Signalbox does not start: an OpenAI-compatible URL. Applied is remembered, deleted is forgotten.

What is remembered stands in a Redis hash, so that `observe` can list it. A wiped Redis heals by itself: the replica is
missing, so it is ordered again.
"""

import json
import time
from typing import Any, cast

from redis import Redis
from redis.exceptions import RedisError

from workers.backends.base import ALONE, BackendError, Fence, Obstacle, Phase, ReplicaStatus
from workers.engines.spec import ReplicaSpec

HASH = "signalbox:external"


class ExternalBackend:
    def __init__(self, client: Redis) -> None:
        self._redis = client

    def apply(self, spec: ReplicaSpec, *, fence: Fence = ALONE) -> None:
        if not spec.external_url:
            raise BackendError(f"{spec.name} has no URL: give its deployment one.", reason=Obstacle.BAD_SPEC)
        known = self._read().get(spec.name)
        if known is None or known["spec_hash"] != spec.spec_hash:
            entry = {
                "deployment": spec.deployment, "spec_hash": spec.spec_hash, "url": _base(spec.external_url),
                "since": time.time(),
            }  # fmt: skip
            self._call("hset", HASH, spec.name, json.dumps(entry))

    def delete(self, name: str, *, grace_seconds: float | None = None, fence: Fence = ALONE) -> None:
        self._call("hdel", HASH, name)

    def observe(self) -> list[ReplicaStatus]:
        return [
            ReplicaStatus(
                name=name, deployment=entry["deployment"], phase=Phase.RUNNING, spec_hash=entry["spec_hash"],
                url=entry["url"], started_at=entry["since"],
            )
            for name, entry in self._read().items()
        ]  # fmt: skip

    def _read(self) -> dict[str, dict[str, Any]]:
        raw = cast("dict[bytes, bytes]", self._call("hgetall", HASH))
        return {name.decode(): entry for name, text in raw.items() if (entry := _entry(text))}

    def _call(self, command: str, *arguments: str) -> object:
        try:
            return getattr(self._redis, command)(*arguments)
        except RedisError as exc:
            raise BackendError(f"Redis does not answer: {exc}", retry_after=2.0) from exc


def _entry(text: bytes) -> dict[str, Any] | None:
    """What `apply` wrote; None for anything else, which is then as good as forgotten."""
    try:
        entry = json.loads(text)
    except ValueError:
        return None
    whole = isinstance(entry, dict) and entry.keys() >= {"deployment", "spec_hash", "url", "since"}
    return entry if whole else None


def _base(url: str) -> str:
    """Scheme, host and port: the gateway adds the path."""
    return url.rstrip("/").removesuffix("/v1")
