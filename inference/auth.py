"""Who calls: from the key in the request to a principal, or an error that says why not. Never a network call."""

import hashlib
import hmac
import math
import time
from collections.abc import Callable

import msgspec

from inference.contract import keys
from inference.contract.limits import LimitEntry
from inference.contract.tables import PREVIOUS, KeyEntry, decode_key
from inference.errors import ExpiredKey, Forbidden, InvalidKey, MissingKey, TablesMissing, UnknownModel
from inference.snapshot import Route
from inference.tables import Tables

CACHED = 50_000


class Principal(msgspec.Struct, frozen=True):
    """A proven key: what it may do. Holds nothing of the secret."""

    key_id: str
    name: str
    project: str
    routes: frozenset[str] | None
    expires: float | None
    limits: tuple[LimitEntry, ...] = ()
    endpoints: frozenset[str] | None = None
    cidrs: tuple[str, ...] | None = None
    media_hosts: tuple[str, ...] = ()
    register_mode: str = "digest"
    data_domain: str = ""
    body_key: str = ""
    used_as: str = ""
    """which of the key's secrets it was proven by, as `tables.USED` names it"""


class Authenticator:
    """Proves tokens against the tables. The cache is keyed by the hash of the whole token.

    A cached proof counts only while the key's published entry is byte for byte the one it was proven against, so a
    revoked or changed key is gone with the entry.
    """

    def __init__(self, tables: Tables, secret_key: str, clock: Callable[[], float] = time.time) -> None:
        self._tables = tables
        self._pepper = keys.pepper(secret_key)
        self._clock = clock
        self._proven: dict[bytes, tuple[Principal, bytes]] = {}
        self.used: set[str] = set()
        """secrets that were let in since somebody last emptied this"""

    def authenticate(self, token: str) -> Principal:
        """The principal of a token. Raises `MissingKey`, `InvalidKey`, `ExpiredKey` or `TablesMissing`."""
        if not token:
            raise MissingKey
        fingerprint = hashlib.sha256(token.encode("utf-8", "surrogateescape")).digest()
        known = self._proven.get(fingerprint)
        if known is None or self._tables.keys.get(known[0].key_id) != known[1]:
            self._proven.pop(fingerprint, None)
            known = self._prove(token)
            if len(self._proven) >= CACHED:
                self._proven.clear()
            self._proven[fingerprint] = known
        principal = known[0]
        if principal.expires is not None and principal.expires <= self._clock():
            raise ExpiredKey
        self.used.add(principal.used_as)
        return principal

    def _prove(self, token: str) -> tuple[Principal, bytes]:
        parsed = keys.parse(token)
        if parsed is None:
            raise InvalidKey
        published = self._tables.keys.get(parsed.id)
        if published is None:
            if not self._tables.loaded:
                raise TablesMissing
            raise InvalidKey
        entry = decode_key(published)
        digest = keys.digest(token, self._pepper)
        if hmac.compare_digest(entry.digest, digest):
            return _principal(entry, entry.expires, entry.id), published
        if entry.previous_digest and hmac.compare_digest(entry.previous_digest, digest):
            until = min(entry.previous_expires, entry.expires or math.inf)
            return _principal(entry, until, entry.id + PREVIOUS), published
        raise InvalidKey


def _principal(entry: KeyEntry, expires: float | None, used_as: str) -> Principal:
    return Principal(
        key_id=entry.id,
        name=entry.name,
        project=entry.project,
        routes=None if entry.routes is None else frozenset(entry.routes),
        expires=expires,
        limits=entry.limits,
        endpoints=None if entry.endpoints is None else frozenset(entry.endpoints),
        cidrs=entry.cidrs,
        media_hosts=entry.media_hosts,
        register_mode=entry.register_mode,
        data_domain=entry.data_domain,
        body_key=entry.body_key,
        used_as=used_as,
    )


def may_call(principal: Principal, route: Route) -> bool:
    """The route belongs to everybody or to the key's project, and the key is not restricted to others."""
    return (route.project is None or route.project == principal.project) and (
        principal.routes is None or route.name in principal.routes
    )


def authorized_route(principal: Principal, tables: Tables, name: str) -> Route:
    """The route of that name. Raises `UnknownModel` or `Forbidden`."""
    route = tables.snapshot.routes.get(name)
    if route is None:
        raise UnknownModel(f"There is no model {name[:200]!r}. See /v1/models for what this key may call.")
    if not may_call(principal, route):
        raise Forbidden(f"This API key may not call the model {name!r}.")
    return route
