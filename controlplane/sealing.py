"""Secrets that have to be used again, sealed at rest: an envelope of AES-256-GCM.

    sealed1.<master key's id>.<wrapped data key>.<sealed text>

Each secret has a data key of its own; the master key only wraps data keys, so replacing it touches no secret. Both
layers are bound to the secret's place (table, field, row, project): an envelope that was copied to another row or
project does not open there. Standard for both: NIST SP 800-38D with random 96-bit nonces.
"""

import base64
import hashlib
import secrets
from dataclasses import dataclass, field
from functools import cached_property

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from django.conf import settings
from django.db.models import Model

FORM = "sealed1"
NONCE_BYTES = 12
KEY_BYTES = 32


class Unopenable(Exception):
    """A sealed secret cannot be opened: its master key is not here, or it was altered or moved. Never says more."""


class Sealed:
    """A secret as it lies in the database. It shows nothing; `reveal` opens it."""

    __slots__ = ("envelope",)

    def __init__(self, envelope: str) -> None:
        self.envelope = envelope

    def __bool__(self) -> bool:
        return bool(self.envelope)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sealed) and other.envelope == self.envelope

    def __hash__(self) -> int:
        return hash(self.envelope)

    def __str__(self) -> str:
        return "(sealed)" if self.envelope else ""

    __repr__ = __str__


@dataclass(frozen=True)
class Keyring:
    """The master key, and while it is being replaced the one before it, which opens but does not seal."""

    current: bytes = field(repr=False)
    previous: bytes | None = field(default=None, repr=False)

    @cached_property
    def current_id(self) -> str:
        return key_id(self.current)

    def seal(self, text: str, place: str) -> str:
        """The envelope of the text for its place."""
        data_key = secrets.token_bytes(KEY_BYTES)
        return _joined(self.current_id, self._wrap(data_key, place), _encrypt(data_key, text.encode(), place))

    def open(self, envelope: str, place: str) -> str:
        """The text. Raises `Unopenable`."""
        master, wrapped, sealed = self._split(envelope)
        return _decrypt(_decrypt(master, wrapped, place), sealed, place).decode()

    def rewrap(self, envelope: str, place: str) -> str:
        """The same secret under the current master key; the sealed text itself stays. Raises `Unopenable`."""
        master, wrapped, sealed = self._split(envelope)
        return _joined(self.current_id, self._wrap(_decrypt(master, wrapped, place), place), sealed)

    def _wrap(self, data_key: bytes, place: str) -> bytes:
        return _encrypt(self.current, data_key, place)

    def _split(self, envelope: str) -> tuple[bytes, bytes, bytes]:
        form, _, rest = envelope.partition(".")
        parts = rest.split(".")
        if form != FORM or len(parts) != 3:
            raise Unopenable("This is no sealed secret.")
        return self._master(parts[0]), _from_text(parts[1]), _from_text(parts[2])

    def _master(self, wanted: str) -> bytes:
        for key in (self.current, self.previous):
            if key is not None and key_id(key) == wanted:
                return key
        raise Unopenable(f"It was sealed under the master key {wanted}, which is not set.")


def key_id(key: bytes) -> str:
    """Tells master keys apart; says nothing about the key."""
    return hashlib.sha256(b"signalbox.master-key." + key).hexdigest()[:16]


def keyring() -> Keyring:
    """The keys of this installation."""
    return Keyring(settings.MASTER_KEY, settings.MASTER_KEY_PREVIOUS)


def seal(instance: Model, name: str, text: str) -> None:
    """Put the text, sealed, into the instance's field; an empty text empties it. The id must be final by now."""
    setattr(instance, name, Sealed(keyring().seal(text, place_of(instance, name)) if text else ""))


def reveal(instance: Model, name: str) -> str:
    """The text in the instance's field; empty when there is none. Raises `Unopenable`."""
    sealed: Sealed = getattr(instance, name)
    return keyring().open(sealed.envelope, place_of(instance, name)) if sealed else ""


def place_of(instance: Model, name: str) -> str:
    """Where a secret belongs: table, field, row and project. It is authenticated, not stored."""
    table = instance._meta.db_table  # noqa: SLF001 - Django's public way to it
    return f"{table}.{name}/{instance.pk}/{getattr(instance, 'project_id', None) or 'platform'}"


def _encrypt(key: bytes, data: bytes, place: str) -> bytes:
    nonce = secrets.token_bytes(NONCE_BYTES)
    return nonce + AESGCM(key).encrypt(nonce, data, place.encode())


def _decrypt(key: bytes, data: bytes, place: str) -> bytes:
    try:
        return AESGCM(key).decrypt(data[:NONCE_BYTES], data[NONCE_BYTES:], place.encode())
    except (InvalidTag, ValueError) as exc:
        raise Unopenable("It was altered, or belongs to another place.") from exc


def _joined(master_id: str, wrapped: bytes, sealed: bytes) -> str:
    return ".".join((FORM, master_id, _text(wrapped), _text(sealed)))


def _text(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")


def _from_text(text: str) -> bytes:
    try:
        return base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except ValueError as exc:
        raise Unopenable("This is no sealed secret.") from exc
