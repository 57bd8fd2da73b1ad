"""What is kept of the contents of requests and answers, in one shape for the gateway that writes and the console that
reads: the row, what it is bound to, and its encryption.

A body is compressed (zstd) and encrypted to the public key of its person in its project: HPKE (RFC 9180, base mode,
X25519, HKDF-SHA256, AES-256-GCM), with a data key of its own. So who writes cannot read, and what was encrypted for
one event, side, project or key opens for no other.
"""

import base64
import sys
from collections.abc import Iterable
from functools import lru_cache
from typing import NamedTuple

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.hpke import AEAD, KDF, KEM, Suite

from inference.contract.events import pack_bytes, pack_id, pack_int8, pack_text

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

TABLE = "audit_body"
"""where it is read: row-level security shows what `SEEN` of the connection tells"""
ROWS = "audit_body_rows"
"""where it is written; nobody may read here"""
SEEN = "signalbox.bodies_of"
"""the name of one project, or ``*``"""
INPUT, OUTPUT = "input", "output"
MASKED, FULL = "masked", "full"
KEEPING = frozenset({MASKED, FULL})
"""modes of a project in which bodies are kept"""
LARGEST = 64 * 1024 * 1024
"""bytes that are decompressed at most"""

COLUMNS = (
    "id", "at", "event_id", "project", "side", "data_domain", "mode", "key_id", "size", "truncated", "sealed",
)  # fmt: skip
COPY_STATEMENT = f"COPY {ROWS} ({', '.join(COLUMNS)}) FROM STDIN (FORMAT BINARY)"
_FIELD_COUNT = len(COLUMNS).to_bytes(2, "big")
_POSTGRES_EPOCH = 946_684_800_000_000
_BOOLEAN = {False: b"\x00\x00\x00\x01\x00", True: b"\x00\x00\x00\x01\x01"}
_SUITE = Suite(KEM.X25519, KDF.HKDF_SHA256, AEAD.AES_256_GCM)
_PURPOSE = b"signalbox.body.1"
_LEVEL = 3


class Unreadable(Exception):
    """It was altered, belongs elsewhere, or was encrypted to another key. Never says more."""


class Place(NamedTuple):
    """What a body belongs to; it is authenticated with it."""

    event_id: bytes
    side: str
    project: str
    key_id: str

    @property
    def info(self) -> bytes:
        """Unambiguous: an id of fixed length, then names, none of which holds NUL."""
        return b"\x00".join((_PURPOSE + self.event_id, *(name.encode() for name in self[1:])))


class BodyKey(NamedTuple):
    """The public half of a person's key in a project."""

    id: str
    public: bytes

    def __str__(self) -> str:
        return f"{self.id}:{base64.b64encode(self.public).decode()}"

    @classmethod
    def parse(cls, text: str) -> "BodyKey | None":
        """The one that `str` wrote; None for anything else."""
        name, _, public = text.partition(":")
        try:
            key = cls(name, base64.b64decode(public, validate=True))
        except ValueError:
            return None
        return key if name and len(key.public) == 32 else None


class Body(msgspec.Struct, frozen=True, kw_only=True):
    """What a row tells beside the content."""

    place: Place
    data_domain: str
    mode: str
    size: int
    """bytes before anything was cut off"""
    truncated: bool


def encrypt(content: bytes, place: Place, public: bytes) -> bytes:
    return _SUITE.encrypt(zstd.compress(content, _LEVEL), _public(public), info=place.info)


@lru_cache(maxsize=1024)
def _public(raw: bytes) -> X25519PublicKey:
    return X25519PublicKey.from_public_bytes(raw)


def decrypt(sealed: bytes, place: Place, private: bytes) -> bytes:
    """The content. Raises `Unreadable`."""
    try:
        packed = _SUITE.decrypt(sealed, X25519PrivateKey.from_private_bytes(private), info=place.info)
        content = zstd.ZstdDecompressor().decompress(packed, LARGEST)
    except (InvalidTag, ValueError, zstd.ZstdError) as exc:
        raise Unreadable("The body was altered, or belongs to another event or key.") from exc
    return content


def new_private() -> bytes:
    """The private half of a new key."""
    return X25519PrivateKey.generate().private_bytes_raw()


def public_of(private: bytes) -> bytes:
    return X25519PrivateKey.from_private_bytes(private).public_key().public_bytes_raw()


def pack_body(body: Body, row_id: bytes, at: int, sealed: bytes) -> bytes:
    """A row of PostgreSQL's binary COPY; `at` in microseconds since 1970."""
    place = body.place
    return b"".join((
        _FIELD_COUNT, pack_id(row_id), pack_int8(at - _POSTGRES_EPOCH), pack_id(place.event_id),
        pack_text(place.project), pack_text(place.side), pack_text(body.data_domain), pack_text(body.mode),
        pack_text(place.key_id),
        pack_int8(body.size), _BOOLEAN[body.truncated], pack_bytes(sealed),
    ))  # fmt: skip


def parted(rows: Iterable[bytes]) -> tuple[list[bytes], list[bytes]]:
    """Packed rows of events and of bodies: they differ in their number of columns."""
    events: list[bytes] = []
    bodies: list[bytes] = []
    for row in rows:
        (bodies if row.startswith(_FIELD_COUNT) else events).append(row)
    return events, bodies
