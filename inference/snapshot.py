"""The route table as the hot path wants it: looked up by name, addresses parsed, header bytes ready to send."""

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import NamedTuple
from urllib.parse import urlsplit

import msgspec

from inference.contract.limits import LimitTable
from inference.contract.tables import ReplicaEntry, RouteEntry, RouteTable, RuleEntry, TargetEntry
from inference.limits import LimitBook
from inference.rota import Rota, rota
from inference.rules import Conditions, conditions
from inference.timeouts import DEFAULTS, Timeouts


class Trust(NamedTuple):
    """Whom an engine behind TLS is taken for."""

    ca: str = ""
    """certificates in PEM; empty: those that the machine trusts"""
    verify: bool = True


Address = tuple[str, int, Trust | None]
"""host, port, and TLS if any; what differs in one of them is another connection pool"""


class Replica(msgspec.Struct, frozen=True):
    """A ready engine."""

    name: str
    address: Address
    head: bytes
    """the request header lines that are the same for each request to it"""
    header: tuple[bytes, bytes]
    """what the client is told"""

    @property
    def host(self) -> str:
        return self.address[0]

    @property
    def port(self) -> int:
        return self.address[1]

    @property
    def tls(self) -> Trust | None:
        return self.address[2]


class Target(msgspec.Struct, frozen=True):
    """One deployment of a route with its ready replicas."""

    deployment: str
    model: str
    version: str
    served_name: str
    replicas: tuple[Replica, ...]
    header: tuple[bytes, bytes]
    """what the client is told"""


class Group(msgspec.Struct, frozen=True):
    """Targets that share requests by weight."""

    targets: tuple[Target, ...]
    rota: Rota
    whole: bool
    """there are some, and each has replicas"""
    names: frozenset[str]
    """of all their replicas"""


class Route(msgspec.Struct, frozen=True):
    """A public model name. Its targets are those that have a weight."""

    name: str
    project: str | None
    created: int
    max_model_len: int | None
    targets: tuple[Target, ...]
    groups: tuple[Group, ...]
    """where a request goes that falls under no rule"""
    rules: tuple[Conditions, ...] = ()
    rule_groups: tuple[tuple[Group, ...], ...] = ()
    """where a request goes that falls under a rule, rule by rule: first these, while they have nobody the next"""
    affinity_header: bytes = b""
    timeouts: Timeouts = DEFAULTS


class Snapshot(msgspec.Struct, frozen=True):
    """All routes and the limits on them at one moment. It is replaced, never changed."""

    routes: Mapping[str, Route]
    addresses: frozenset[Address] = frozenset()
    """of all ready replicas"""
    limits: LimitBook = LimitBook()
    """of projects and routes"""
    longest_request: float = 0.0
    """seconds that a request may run, on the route that allows most"""


EMPTY = Snapshot(MappingProxyType({}))


def build(table: RouteTable, limits: LimitBook = EMPTY.limits, timeouts: Timeouts = DEFAULTS) -> Snapshot:
    """The snapshot of a published table. A replica whose URL cannot be used is left out, not fatal.

    `timeouts` are the gateway's own, for what a route leaves open.
    """
    routes = {entry.name: _route(entry, timeouts) for entry in table.routes}
    addresses = (
        replica.address for route in routes.values() for target in route.targets for replica in target.replicas
    )
    longest = max((route.timeouts.total for route in routes.values()), default=0.0)
    return Snapshot(MappingProxyType(routes), frozenset(addresses), limits, longest)


def with_limits(snapshot: Snapshot, table: LimitTable) -> Snapshot:
    """The same routes under these limits."""
    return msgspec.structs.replace(snapshot, limits=LimitBook(table))


def _route(entry: RouteEntry, timeouts: Timeouts) -> Route:
    targets = [(_target(target), target.weight) for target in entry.targets if target.weight > 0]
    return Route(
        name=entry.name,
        project=entry.project,
        created=entry.created,
        max_model_len=entry.max_model_len,
        targets=tuple(target for target, _ in targets),
        groups=(_group(targets),),
        rules=tuple(conditions(rule) for rule in entry.rules),
        rule_groups=tuple(_rule_groups(rule, targets) for rule in entry.rules),
        affinity_header=entry.affinity_header.lower().encode(),
        timeouts=timeouts.of_route(entry.timeouts),
    )


def _group(targets: Sequence[tuple[Target, int]]) -> Group:
    """A group of targets with their weights."""
    return Group(
        targets=tuple(target for target, _ in targets),
        rota=rota(tuple(weight for _, weight in targets)),
        whole=bool(targets) and all(target.replicas for target, _ in targets),
        names=frozenset(replica.name for target, _ in targets for replica in target.replicas),
    )


def _rule_groups(rule: RuleEntry, targets: Sequence[tuple[Target, int]]) -> tuple[Group, ...]:
    own = _group([pair for pair in targets if pair[0].deployment in rule.deployments])
    if not rule.fallback:
        return (own,)
    return own, _group([pair for pair in targets if pair[0].deployment not in rule.deployments])


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
        address=(host, port or (443 if tls else 80), Trust(entry.tls_ca, entry.tls_verify) if tls else None),
        head=head,
        header=(b"x-signalbox-replica", _header_value(entry.name)),
    )


def _header_value(text: str) -> bytes:
    """Printable ASCII only: nothing that a name may hold can begin a new header line."""
    return "".join(char if " " <= char <= "~" else "?" for char in text).encode("ascii")
