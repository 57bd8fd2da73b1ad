"""The gateway's tables: what it must know to answer a request, published by the control plane to Redis.

Keys in Redis (all under `PREFIX`):

- ``routes``      one value, MessagePack of `RouteTable`
- ``keys``        a hash, key id -> MessagePack of `KeyEntry`; a revoked key is deleted
- ``generation``  a random token set by each full publish; a gateway that reads another one (or none) reloads everything
- ``limits``      one value, MessagePack of `limits.LimitTable`; the limits of a key ride in its `KeyEntry`
- ``changes``     a stream; one entry a change, fields ``kind`` (one of `CHANGE_…`) and ``id``

The other way, written by the gateways and drained by the workers:

- ``used``        a hash, secret -> Unix seconds of its latest use; a secret is a key id, with `PREVIOUS` behind it
                  for the one that was replaced
"""

import msgspec

from inference.contract.limits import LimitEntry

PREFIX = "signalbox:gateway:"
ROUTES = PREFIX + "routes"
KEYS = PREFIX + "keys"
GENERATION = PREFIX + "generation"
CHANGES = PREFIX + "changes"
CHANGES_KEPT = 10_000
USED = PREFIX + "used"
PREVIOUS = "~"

CHANGE_ROUTES = "routes"
CHANGE_KEY = "key"
CHANGE_LIMITS = "limits"
CHANGE_ALL = "all"


class ReplicaEntry(msgspec.Struct, frozen=True):
    """One engine that may take traffic. `url`: ``http://host:port`` without a path; `key`: the engine's own bearer."""

    name: str
    url: str
    key: str = ""
    """plain in memory, sealed in Redis: see `engine_keys`"""
    tls_ca: str = ""
    """certificates in PEM that an ``https`` engine is checked against; empty: those that the machine trusts"""
    tls_verify: bool = True


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


class RuleEntry(msgspec.Struct, frozen=True):
    """Sends requests of one kind to some of a route's targets. What is empty or None asks for nothing."""

    deployments: tuple[str, ...]
    endpoints: tuple[str, ...] = ()
    """of `inference.contract.endpoints.NAMES`"""
    prompt_tokens_from: int | None = None
    """estimated, as limits estimate them; inclusive"""
    prompt_tokens_to: int | None = None
    """exclusive"""
    header: str = ""
    """a request header's name in lower case"""
    header_values: tuple[str, ...] = ()
    """one of which it must have; empty: the header must be there"""
    fallback: bool = False
    """others of the route's targets take these requests while none of `deployments` has a healthy replica"""


class TimeoutsEntry(msgspec.Struct, frozen=True):
    """Seconds; None is the gateway's own default."""

    connect: float | None = None
    first_byte: float | None = None
    chunk: float | None = None
    """between two pieces of an answer"""
    total: float | None = None


class RouteEntry(msgspec.Struct, frozen=True):
    """A public model name. `project` is a slug, or None when every project may call it."""

    name: str
    project: str | None
    created: int
    """Unix seconds, for ``GET /v1/models``"""
    max_model_len: int | None
    targets: tuple[TargetEntry, ...] = ()
    rules: tuple[RuleEntry, ...] = ()
    """the first that fits counts"""
    affinity_header: str = ""
    """a request header in lower case; requests with the same value of it go to the same replica while that is there"""
    timeouts: TimeoutsEntry = TimeoutsEntry()


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
    register_mode: str = "digest"
    """what its project lets the register keep of a request: ``metadata``, ``digest``, ``masked`` or ``full``"""
    data_domain: str = "business"
    """what its project's contents are: ``public``, ``business`` or ``sensitive``"""
    body_key: str = ""
    """what contents are encrypted to, where they are kept: see `bodies.BodyKey`"""
    previous_digest: str = ""
    """of the secret before the last rotation; empty when there is none"""
    previous_expires: float = 0.0
    """Unix seconds until which that one is let in as well"""


encode = msgspec.msgpack.Encoder().encode
decode_routes = msgspec.msgpack.Decoder(RouteTable).decode
decode_key = msgspec.msgpack.Decoder(KeyEntry).decode
