"""The limits as the control plane publishes them, and the names under which Redis counts them.

Limits of a key (and of a key on a route) ride in its `KeyEntry`; those of projects and routes in one `LimitTable`,
stored under `TABLE` beside the other gateway tables, so that neither a new key nor a changed project rewrites the
other.

The project stands in every Redis key, so one project's counters can neither be read nor spent by another; the
generation stands before it, so that counters of a lost generation are never met again (`inference.limits` says why).
"""

import msgspec

TABLE = "signalbox:gateway:limits"
PREFIX = "signalbox:limits:"
STATE = PREFIX + "state"
PLATFORM = "-"
"""Stands for the project of a route that belongs to all; no project can have that name."""


class LimitEntry(msgspec.Struct, frozen=True):
    """Limits of one subject. None is unlimited; 0 lets nothing through.

    `key` and `route` say which subject: both empty is the project, both set the key on that route. A route's own
    limit has its owner as `project` (`PLATFORM` for a route of all) and is `shared`; project × route is not.
    """

    project: str
    key: str = ""
    route: str = ""
    shared: bool = False
    requests_per_minute: int | None = None
    tokens_per_minute: int | None = None
    concurrency: int | None = None

    @property
    def name(self) -> str:
        """The subject's name in Redis. Unambiguous, because only a route's name may hold a colon and it comes last."""
        kind = ("r" if self.shared else "p") if not self.key else "k"
        return f"{self.project}:{kind}:{self.key}:{self.route}"


class LimitTable(msgspec.Struct, frozen=True):
    """All limits of projects, routes and projects on routes."""

    limits: tuple[LimitEntry, ...] = ()


encode = msgspec.msgpack.Encoder().encode
decode_table = msgspec.msgpack.Decoder(LimitTable).decode


def members_key(generation: str) -> str:
    """The sorted set of gateway processes: member -> Redis time in ms until which it is trusted to be in session."""
    return f"{PREFIX}{generation}:members"


def window_key(generation: str, name: str) -> str:
    """The hash that holds a subject's one-second buckets of requests and tokens."""
    return f"{PREFIX}{generation}:w:{name}"


def slots_key(generation: str, name: str) -> str:
    """The sorted set of a subject's running requests: lease -> Redis time in ms at which it lapses."""
    return f"{PREFIX}{generation}:s:{name}"


def settled_key(generation: str, lease: str) -> str:
    """Set by the first settlement of a lease, so that a repeated one changes nothing."""
    return f"{PREFIX}{generation}:d:{lease}"
