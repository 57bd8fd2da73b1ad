"""Keys of engines on their way through Redis: sealed by the control plane, opened by the gateway as it reads the table.

A dump of Redis therefore holds none of them. AES-256-SIV (RFC 5297) with a key that both sides derive from the
installation's SECRET_KEY (HKDF, RFC 5869): it needs no nonce, so the same table is the same bytes and is not announced
again. Bound to the replica's name: no engine is ever sent the key of another one.
"""

import base64
import binascii
from collections.abc import Callable

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESSIV
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from inference.contract.tables import ReplicaEntry, RouteTable

KEY_BYTES = 64  # SIV takes two keys of 256 bits


class EngineKeyError(Exception):
    """A key that this SECRET_KEY does not open, or that was sealed for another replica."""


class EngineKeys:
    """Seals and opens; one a process, because deriving the key takes longer than using it."""

    def __init__(self, secret_key: str) -> None:
        derived = HKDF(SHA256(), KEY_BYTES, salt=None, info=b"signalbox.gateway.engine-keys").derive(
            secret_key.encode()
        )
        self._cipher = AESSIV(derived)

    def seal(self, key: str, replica: str) -> str:
        return base64.b64encode(self._cipher.encrypt(key.encode(), [replica.encode()])).decode()

    def open(self, sealed: str, replica: str) -> str:
        """Raises `EngineKeyError`."""
        try:
            return self._cipher.decrypt(base64.b64decode(sealed, validate=True), [replica.encode()]).decode()
        except (InvalidTag, binascii.Error, ValueError) as exc:
            raise EngineKeyError(f"the key of {replica} cannot be opened: is SECRET_KEY the console's?") from exc

    def sealed(self, table: RouteTable) -> RouteTable:
        """The table as it is published."""
        return _with_replicas(table, lambda replica: msgspec.structs.replace(replica, key=self._seal(replica)))

    def opened(self, table: RouteTable, report: Callable[[str], None]) -> RouteTable:
        """The table as it is used. A replica whose key does not open is left out and reported: it would refuse us."""

        def open_one(replica: ReplicaEntry) -> ReplicaEntry | None:
            try:
                return msgspec.structs.replace(replica, key=self.open(replica.key, replica.name))
            except EngineKeyError as exc:
                report(str(exc))
                return None

        return _with_replicas(table, lambda replica: open_one(replica) if replica.key else replica)

    def _seal(self, replica: ReplicaEntry) -> str:
        return self.seal(replica.key, replica.name) if replica.key else ""


def _with_replicas(table: RouteTable, change: Callable[[ReplicaEntry], ReplicaEntry | None]) -> RouteTable:
    """The table with each replica changed, or left out where `change` answers None. Each is changed once only."""
    changed: dict[ReplicaEntry, ReplicaEntry | None] = {}

    def once(replica: ReplicaEntry) -> ReplicaEntry | None:
        if replica not in changed:
            changed[replica] = change(replica)
        return changed[replica]

    routes = []
    for route in table.routes:
        targets = (
            msgspec.structs.replace(target, replicas=tuple(new for old in target.replicas if (new := once(old))))
            for target in route.targets
        )
        routes.append(msgspec.structs.replace(route, targets=tuple(targets)))
    return RouteTable(tuple(routes))
