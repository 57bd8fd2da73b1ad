"""Rendezvous hashing: who serves a session, so that all gateways agree without a word. Pure.

Every candidate gets a number from its own name and the session alone, and the highest wins (highest random weight,
Thaler and Ravishankar 1998). So when one goes, only its sessions move, each to the candidate that comes next for it,
and when it returns they return; nothing else changes. With weights, a candidate's share is its part of the sum, and a
changed weight moves no more sessions than the shares have changed by.
https://www.ietf.org/archive/id/draft-ietf-bess-weighted-hrw-00.html

The hash is keyless on purpose: Python's own differs from process to process.
"""

from collections.abc import Sequence
from hashlib import blake2b
from math import log

SESSION_BYTES = 16
_MANTISSA = 52


def session_of(value: bytes) -> bytes:
    """What stands for a session; short, however long the value is that the client sent."""
    return blake2b(value, digest_size=SESSION_BYTES).digest()


def strongest(session: bytes, names: Sequence[bytes]) -> int:
    """The index of the name that the session belongs to."""
    if len(names) == 1:
        return 0
    drawn = [blake2b(session + name, digest_size=8).digest() for name in names]
    return drawn.index(max(drawn))


def strongest_weighted(session: bytes, names: Sequence[bytes], weights: Sequence[int]) -> int:
    """The same where names have shares. Weights are above 0."""
    if len(names) == 1:
        return 0
    drawn = [
        weight / -log(_fraction(blake2b(session + name, digest_size=8).digest()))
        for name, weight in zip(names, weights, strict=True)
    ]
    return drawn.index(max(drawn))


def _fraction(digest: bytes) -> float:
    """Between 0 and 1, neither of them included."""
    return ((int.from_bytes(digest, "big") >> (64 - _MANTISSA)) + 0.5) / (1 << _MANTISSA)
