"""The format of API keys: ``sbx_<8-char id>_<43-char secret>_<6-char checksum>``. Other tokens differ in the prefix.

Recognisable by secret scanners and checkable offline, so a malformed key costs no look-up. Only the HMAC-SHA256 of the
whole key (with a pepper) is stored; the id finds the row, the digest proves the secret.
"""

import hashlib
import hmac
import re
import secrets
import zlib
from typing import NamedTuple

PREFIX = "sbx"
_ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_FORM = re.compile(r"([a-z]{3})_([0-9A-Za-z]{8})_([0-9A-Za-z]{43})_([0-9A-Za-z]{6})", re.ASCII)


class ParsedKey(NamedTuple):
    """A well-formed key: `id` is public, `token` is the whole key and must not be logged."""

    id: str
    token: str


def _base62(number: int, width: int) -> str:
    digits = ""
    while number:
        number, digit = divmod(number, 62)
        digits = _ALPHABET[digit] + digits
    return digits.rjust(width, "0")


def checksum(body: str) -> str:
    """Six base-62 characters of CRC-32 over all before the last underscore: catches typing errors, not attacks."""
    return _base62(zlib.crc32(body.encode("ascii")), 6)


def generate(key_id: str = "", prefix: str = PREFIX) -> ParsedKey:
    """A new key with 256 random bits in 43 base-62 characters; `key_id` for a known key's new secret."""
    key_id = key_id or "".join(secrets.choice(_ALPHABET) for _ in range(8))
    secret = "".join(secrets.choice(_ALPHABET) for _ in range(43))
    body = f"{prefix}_{key_id}_{secret}"
    return ParsedKey(key_id, f"{body}_{checksum(body)}")


def parse(token: str, prefix: str = PREFIX) -> ParsedKey | None:
    """The parts of a well-formed key, None for anything else. Says nothing about whether the key exists."""
    match = _FORM.fullmatch(token)
    if match is None or match[1] != prefix or checksum(token[:-7]) != match[4]:
        return None
    return ParsedKey(match[2], token)


def stands_in(text: str) -> bool:
    """Whether a whole key or token, of whatever kind, is part of the text: it must not be kept or shown."""
    return "_" in text and _FORM.search(text) is not None


def digest(token: str, pepper: bytes) -> str:
    """What is stored and compared: HMAC-SHA256 of the whole key, as 64 hexadecimal characters."""
    return hmac.new(pepper, token.encode(), hashlib.sha256).hexdigest()


def pepper(secret_key: str) -> bytes:
    """The pepper both sides derive from the installation's SECRET_KEY."""
    return hmac.new(secret_key.encode(), b"signalbox.api-key.pepper", hashlib.sha256).digest()


def engine_key(secret_key: str, replica: str) -> str:
    """The key that one replica's engine asks for, derived, so that it is stored nowhere."""
    return hmac.new(secret_key.encode(), b"signalbox.engine." + replica.encode(), hashlib.sha256).hexdigest()
