"""The limits as the control plane publishes them, and the names under which Redis counts them.

Limits of a key (and of a key on a route) ride in its `KeyEntry`; those of projects and routes in one `LimitTable`,
stored under `TABLE` beside the other gateway tables, so that neither a new key nor a changed project rewrites the
other.

The project stands in every Redis key, so one project's counters can neither be read nor spent by another; the
generation stands before it, so that counters of a lost generation are never met again (`inference.limits` says why).
"""

import msgspec

from inference.contract.budgets import Budget, Price

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
    budgets: tuple[Budget, ...] = ()

    @property
    def name(self) -> str:
        """The subject's name in Redis. Unambiguous, because only a route's name may hold a colon and it comes last."""
        kind = ("r" if self.shared else "p") if not self.key else "k"
        return f"{self.project}:{kind}:{self.key}:{self.route}"


class LimitTable(msgspec.Struct, frozen=True):
    """All limits of projects, routes and projects on routes; and what tokens cost, for budgets of cost."""

    limits: tuple[LimitEntry, ...] = ()
    prices: dict[str, Price] = {}
    """of model versions that have one, by ``model:version``"""


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


def slice_key(generation: str, project: str, budget: Budget, period: str) -> str:
    """The hash of a leased slice.

    ``granted`` to this generation in all, ``used`` of it (spent or reserved), ``others``: what the rest of the budget
    is taken by, ``until``: when the period ends, in ms of Redis's clock, ``version`` of the ledger's word; for each
    gateway process ``r:<process>``, what its running requests have reserved, and ``s:<process>``, what it has spent.
    """
    return f"{PREFIX}{generation}:b:{project}:{budget.limit}:{budget.dimension}:{period}"


def slice_of(key: str) -> tuple[str, str, str]:
    """Limit, dimension and period of a slice, from its key."""
    limit, dimension, period = key.rsplit(":", 3)[1:]
    return limit, dimension, period


def processes_key(generation: str) -> str:
    """The sorted set of the processes that reserve from slices: process -> Redis time in ms at which it lapses."""
    return f"{PREFIX}{generation}:processes"


def touched_key(generation: str, process: str) -> str:
    """The set of the slices that a process has taken something from."""
    return f"{PREFIX}{generation}:t:{process}"
