"""Access tokens: JWTs (RFC 7519, RFC 9068) of some minutes, signed with Ed25519.

A good signature alone lets nobody in: the session that a token names must still be live in PostgreSQL (see
`api.authentication`). Everything here is pure; times and keys come in.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cache
from typing import Any, NamedTuple
from uuid import UUID

import jwt
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from django.conf import settings

from inference.contract.ids import uuid7

ALGORITHM = "EdDSA"
TYPE = "at+jwt"
AUDIENCE = "signalbox-management-api"
LIFETIME = timedelta(minutes=10)
LEEWAY = timedelta(seconds=5)  # clocks of several consoles
LONGEST = 2_048
CLAIMS = ("iss", "aud", "sub", "sid", "jti", "iat", "nbf", "exp")


class BadAccessToken(Exception):
    """It is not one of ours, or its time is over. Never says which."""


class Claims(NamedTuple):
    """Whose token it is."""

    user_id: int
    session_id: UUID


@dataclass(frozen=True)
class Signer:
    """Signs with the current key; verifies with it and with the one before."""

    issuer: str
    current: bytes = field(repr=False)
    previous: bytes | None = field(default=None, repr=False)

    def sign(self, user_id: int, session_id: UUID, now: datetime) -> str:
        key = Ed25519PrivateKey.from_private_bytes(self.current)
        claims = {
            "iss": self.issuer, "aud": AUDIENCE, "sub": str(user_id), "sid": str(session_id), "jti": str(uuid7()),
            "iat": now, "nbf": now, "exp": now + LIFETIME,
        }  # fmt: skip
        return jwt.encode(claims, key, ALGORITHM, headers={"kid": key_id(key.public_key()), "typ": TYPE})

    def verify(self, token: str) -> Claims:
        """Whose it is. Raises `BadAccessToken` for everything that `sign` did not make, or made too long ago."""
        if len(token) > LONGEST or token.count(".") != 2 or not token.isascii():
            raise BadAccessToken
        try:
            header = jwt.get_unverified_header(token)
            claims = jwt.decode(
                token, self._public(header), [ALGORITHM], issuer=self.issuer, audience=AUDIENCE, leeway=LEEWAY,
                options={"require": list(CLAIMS), "strict_aud": True},
            )  # fmt: skip
            if claims["exp"] - claims["iat"] > LIFETIME.total_seconds():  # whoever signed it
                raise BadAccessToken
            return Claims(int(claims["sub"]), UUID(claims["sid"]))
        except (jwt.PyJWTError, ValueError, TypeError, AttributeError, OverflowError, RecursionError) as exc:
            raise BadAccessToken from exc

    def _public(self, header: Mapping[str, Any]) -> Ed25519PublicKey:
        """The key that the header names; it names no other kind of key and no place to fetch one from."""
        if header.get("typ") != TYPE:
            raise BadAccessToken
        for seed in filter(None, (self.current, self.previous)):
            public = _public_key(seed)
            if header.get("kid") == key_id(public):
                return public
        raise BadAccessToken


def signer() -> Signer:
    """The keys of this installation."""
    return Signer(settings.CONSOLE_URL, settings.JWT_KEY, settings.JWT_KEY_PREVIOUS)


@cache
def _public_key(seed: bytes) -> Ed25519PublicKey:
    return Ed25519PrivateKey.from_private_bytes(seed).public_key()


def key_id(public: Ed25519PublicKey) -> str:
    return hashlib.sha256(public.public_bytes(Encoding.Raw, PublicFormat.Raw)).hexdigest()[:16]
