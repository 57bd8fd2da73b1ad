"""Signatures on checkpoints and exports: one Ed25519 key, known by the fingerprint of its public half."""

import base64
from functools import cache
from hashlib import sha256

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from django.conf import settings


class Signer:
    """Signs with the key whose seed it is given."""

    def __init__(self, seed: bytes) -> None:
        self._key = Ed25519PrivateKey.from_private_bytes(seed)
        self.public = self._key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
        """32 bytes"""
        self.fingerprint = sha256(self.public).hexdigest()

    def sign(self, content: bytes | memoryview) -> str:
        """The signature in base64."""
        return base64.b64encode(self._key.sign(content)).decode()


def is_signed(content: bytes, signature: str, public: bytes) -> bool:
    """Whether the signature (base64) over the content is that key's."""
    try:
        Ed25519PublicKey.from_public_bytes(public).verify(base64.b64decode(signature, validate=True), content)
    except (InvalidSignature, ValueError):
        return False
    return True


@cache
def signer() -> Signer:
    """This installation's, from `settings.SEAL_KEY`."""
    return Signer(settings.SEAL_KEY)
