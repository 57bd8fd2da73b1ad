"""The route table as the hot path wants it: looked up by name, addresses parsed, header bytes ready to send."""

from collections.abc import Mapping
from math import gcd
from types import MappingProxyType
from urllib.parse import urlsplit

import msgspec

from inference.contract.limits import LimitTable
from inference.contract.tables import ReplicaEntry, RouteEntry, RouteTable, TargetEntry
from inference.limits import LimitBook

Address = tuple[str, int, bool]
"""host, port, TLS"""


class Replica(msgspec.Struct, frozen=True):
    """A ready engine. `address` identifies its connection pool."""

    name: str
    host: str
    port: int
    tls: bool
    head: bytes
    """the request header lines that are the same for each request to it"""
    header: tuple[bytes, bytes]
    """what the client is told"""

    @property
    def address(self) -> Address:
        return self.host, self.port, self.tls


class Target(msgspec.Struct, frozen=True):
    """One deployment of a route with its ready replicas."""

    deployment: str
    model: str
    version: str
    served_name: str
    replicas: tuple[Replica, ...]
    header: tuple[bytes, bytes]
    """what the client is told"""


class Route(msgspec.Struct, frozen=True):
    """A public model name; `weights` belong to `targets` one by one, divided by what they have in common."""

    name: str
    project: str | None
    created: int
    max_model_len: int | None
    targets: tuple[Target, ...]
    weights: tuple[int, ...]


class Snapshot(msgspec.Struct, frozen=True):
    """All routes and the limits on them at one moment. It is replaced, never changed."""

    routes: Mapping[str, Route]
    addresses: frozenset[Address] = frozenset()
    """of all ready replicas"""
    limits: LimitBook = LimitBook()
    """of projects and routes"""


EMPTY = Snapshot(MappingProxyType({}))


def build(table: RouteTable, limits: LimitBook = EMPTY.limits) -> Snapshot:
    """The snapshot of a published table. A replica whose URL cannot be used is left out, not fatal."""
    routes = {entry.name: _route(entry) for entry in table.routes}
    addresses = (
        replica.address for route in routes.values() for target in route.targets for replica in target.replicas
    )
    return Snapshot(MappingProxyType(routes), frozenset(addresses), limits)


def with_limits(snapshot: Snapshot, table: LimitTable) -> Snapshot:
    """The same routes under these limits."""
    return msgspec.structs.replace(snapshot, limits=LimitBook(table))


def _route(entry: RouteEntry) -> Route:
    targets = [target for target in entry.targets if target.weight > 0]
    common = gcd(*(target.weight for target in targets)) or 1
    return Route(
        name=entry.name,
        project=entry.project,
        created=entry.created,
        max_model_len=entry.max_model_len,
        targets=tuple(_target(target) for target in targets),
        weights=tuple(target.weight // common for target in targets),
    )


def _target(entry: TargetEntry) -> Target:
    replicas = (_replica(replica) for replica in entry.replicas)
    return Target(
        deployment=entry.deployment,
        model=entry.model,
        version=entry.version,
        served_name=entry.served_name,
        replicas=tuple(replica for replica in replicas if replica is not None),
        header=(b"x-signalbox-version", _header_value(entry.version)),
    )


def _replica(entry: ReplicaEntry) -> Replica | None:
    parts = urlsplit(entry.url)
    try:
        host, port = parts.hostname, parts.port
    except ValueError:  # a port that is no number
        return None
    if parts.scheme not in {"http", "https"} or not host:
        return None
    tls = parts.scheme == "https"
    head = b"host: " + _header_value(parts.netloc.rpartition("@")[2]) + b"\r\n"
    if entry.key:
        head += b"authorization: Bearer " + _header_value(entry.key) + b"\r\n"
    return Replica(
        name=entry.name,
        host=host,
        port=port or (443 if tls else 80),
        tls=tls,
        head=head,
        header=(b"x-signalbox-replica", _header_value(entry.name)),
    )


def _header_value(text: str) -> bytes:
    """Printable ASCII only: nothing that a name may hold can begin a new header line."""
    return "".join(char if " " <= char <= "~" else "?" for char in text).encode("ascii")
