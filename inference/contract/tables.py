"""The gateway's tables: what it must know to answer a request, published by the control plane to Redis.

Keys in Redis (all under `PREFIX`):

- ``routes``      one value, MessagePack of `RouteTable`
- ``keys``        a hash, key id -> MessagePack of `KeyEntry`; a revoked key is deleted
- ``generation``  a random token set by each full publish; a gateway that reads another one (or none) reloads everything
- ``limits``      one value, MessagePack of `limits.LimitTable`; the limits of a key ride in its `KeyEntry`
- ``changes``     a stream; one entry a change, fields ``kind`` (one of `CHANGE_…`) and ``id``
"""

import msgspec

from inference.contract.limits import LimitEntry

PREFIX = "signalbox:gateway:"
ROUTES = PREFIX + "routes"
KEYS = PREFIX + "keys"
GENERATION = PREFIX + "generation"
CHANGES = PREFIX + "changes"
CHANGES_KEPT = 10_000

CHANGE_ROUTES = "routes"
CHANGE_KEY = "key"
CHANGE_LIMITS = "limits"
CHANGE_ALL = "all"


class ReplicaEntry(msgspec.Struct, frozen=True):
    """One engine that may take traffic. `url`: ``http://host:port`` without a path; `key`: the engine's own bearer."""

    name: str
    url: str
    key: str = ""


class TargetEntry(msgspec.Struct, frozen=True):
    """A weighted target of a route: one deployment and its ready replicas."""

    deployment: str
    weight: int
    model: str
    """the model's catalogue name, for metrics"""
    version: str
    """``model:version``, told to the client in ``x-signalbox-version``"""
    served_name: str
    """what the engine calls the model; the gateway puts it into the body"""
    replicas: tuple[ReplicaEntry, ...] = ()


class RouteEntry(msgspec.Struct, frozen=True):
    """A public model name. `project` is a slug, or None when every project may call it."""

    name: str
    project: str | None
    created: int
    """Unix seconds, for ``GET /v1/models``"""
    max_model_len: int | None
    targets: tuple[TargetEntry, ...] = ()


class RouteTable(msgspec.Struct, frozen=True):
    """All routes."""

    routes: tuple[RouteEntry, ...] = ()


class KeyEntry(msgspec.Struct, frozen=True):
    """What the gateway knows of an API key. `routes` None: all that the project may call; `expires`: Unix seconds."""

    id: str
    digest: str
    project: str
    name: str
    routes: tuple[str, ...] | None = None
    expires: float | None = None
    limits: tuple[LimitEntry, ...] = ()
    """of the key, and of the key on single routes"""
    endpoints: tuple[str, ...] | None = None
    """of `inference.contract.endpoints.NAMES`; None: all"""
    cidrs: tuple[str, ...] | None = None
    """networks it may be used from; None: anywhere"""
    media_hosts: tuple[str, ...] = ()
    """hosts from which its project lets engines fetch media; ``*.name`` for all below a name"""


encode = msgspec.msgpack.Encoder().encode
decode_routes = msgspec.msgpack.Decoder(RouteTable).decode
decode_key = msgspec.msgpack.Decoder(KeyEntry).decode
