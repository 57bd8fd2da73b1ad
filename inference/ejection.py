"""Which replicas stay out of rotation for a while, because they failed. Pure: time and chance come in as arguments.

A replica is *in* rotation, *out* of it until some time, or, when that time has come, *returning*: then one request is
sent there to see. If that ends well the replica is in again and all is forgotten; if not it is out for twice as long as
before. `hold` keeps one out whatever the time, until `let_go`: so do replicas return that somebody watches.

What was sent before an ejection says nothing about the replica after it, whether it ends well or not.
"""

from collections.abc import Collection, Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import NamedTuple

import msgspec

FIRST_EJECTION = 1.0
LONGEST_EJECTION = 60.0
"""seconds; each ejection in a row lasts twice as long as the one before, up to this"""
SPREAD = 0.2
"""by so much of it an ejection may be shorter, so that several gateways do not come back at one moment"""
PROBE_PATIENCE = 5.0
"""a request sent to a returning replica that says nothing for so long is joined by one more"""
NOBODY: frozenset[str] = frozenset()


class Fault(StrEnum):
    """What went wrong between the gateway and an engine before the client's first byte; the metrics' label."""

    UNREACHABLE = "unreachable"
    """refused, no way there, no such host"""
    CONNECT_TIMEOUT = "connect_timeout"
    TLS = "tls"
    """no handshake: the certificate is not what it should be, or the other side speaks no TLS"""
    RESET = "reset"
    """the connection broke before the answer, or inside an answer of which the client has seen nothing"""
    SILENT = "silent"
    """no first byte in time, and no other sign of life either"""
    FAILED = "failed"
    """an answer of 5xx; not 503, which is overload"""
    GARBAGE = "garbage"
    """an answer that is not HTTP"""
    KEY_REFUSED = "key_refused"
    HUNG = "hung"
    """it does not move on, though there is work"""


TOLERATED: Mapping[Fault, int] = MappingProxyType({Fault.FAILED: 4, Fault.GARBAGE: 4, Fault.KEY_REFUSED: 4})
"""Faults of which so many in a row may come from what was asked; only the next one ejects. All others do at once."""


class Ejected(NamedTuple):
    """A replica goes out of rotation."""

    fault: Fault
    seconds: float
    """for at least so long"""
    in_a_row: int


class _Standing(msgspec.Struct):
    """One replica that has failed. In rotation, `until` is None."""

    faults: int = 0
    """in a row, in rotation"""
    ejections: int = 0
    """in a row"""
    since: float = 0.0
    until: float | None = None
    held: bool = False
    probed_until: float = 0.0

    def returning(self, now: float) -> bool:
        return self.until is not None and now >= self.until and not self.held


class Ejections:
    """Replicas by name."""

    def __init__(self) -> None:
        self._standings: dict[str, _Standing] = {}
        self.troubled: Collection[str] = self._standings.keys()
        """those that have failed since they last did well; nearly always nobody, and then there is nothing to ask"""
        self._out = NOBODY
        self._changes_at = 0.0

    @property
    def names(self) -> list[str]:
        """All that are out of rotation, those that are returning among them."""
        return [name for name, standing in self._standings.items() if standing.until is not None]

    def out(self, now: float) -> frozenset[str]:
        """Who gets no request now. A returning replica is not among them while nobody has been sent there to see."""
        if self._standings and now >= self._changes_at:
            self._out, self._changes_at = self._look(now)
        return self._out

    def _look(self, now: float) -> tuple[frozenset[str], float]:
        out, changes = [], float("inf")
        for name, standing in self._standings.items():
            if standing.until is None:
                continue
            back = float("inf") if standing.held else max(standing.until, standing.probed_until)
            if now < back:
                out.append(name)
                changes = min(changes, back)
        return frozenset(out), changes

    def picked(self, name: str, now: float) -> None:
        """A request goes there. If the replica is returning, others wait for how that ends."""
        standing = self._standings.get(name)
        if standing is not None and standing.returning(now) and now >= standing.probed_until:
            standing.probed_until = now + PROBE_PATIENCE
            self._changes_at = 0.0

    def given_up(self, name: str) -> None:
        """A request that went there ended without saying anything about the replica: the next one may see."""
        standing = self._standings.get(name)
        if standing is not None:
            standing.probed_until = 0.0
            self._changes_at = 0.0

    def succeeded(self, name: str, began: float) -> bool:
        """A request that `began` then got its answer. Returns whether the replica is back in rotation by that."""
        standing = self._standings.get(name)
        if standing is None or (standing.until is not None and (standing.held or began < standing.since)):
            return False
        del self._standings[name]
        self._settle()
        return standing.until is not None

    def failed(self, name: str, fault: Fault, *, began: float, now: float, chance: float) -> Ejected | None:
        """A request that `began` then has failed. `chance` is from 0 to 1. Returns the ejection if this is one."""
        standing = self._standings.setdefault(name, _Standing())
        if standing.until is None:
            standing.faults += 1
            if standing.faults <= TOLERATED.get(fault, 0):
                return None
        elif standing.held or began < standing.until:
            return None
        return self._eject(standing, fault, now, chance)

    def hold(self, name: str, fault: Fault, *, now: float, chance: float) -> Ejected | None:
        """Out of rotation until it is let go. Returns None when it is held already."""
        standing = self._standings.setdefault(name, _Standing())
        if standing.held:
            return None
        standing.held = True
        return self._eject(standing, fault, now, chance)

    def let_go(self, name: str) -> bool:
        """A held replica may return, once its time has come. Returns whether it was held."""
        standing = self._standings.get(name)
        if standing is None or not standing.held:
            return False
        standing.held = False
        self._settle()
        return True

    def forget(self, name: str) -> None:
        """The replica is gone, or another one has its name now."""
        if self._standings.pop(name, None) is not None:
            self._settle()

    def _eject(self, standing: _Standing, fault: Fault, now: float, chance: float) -> Ejected:
        standing.ejections += 1
        seconds = ejection_seconds(standing.ejections, chance)
        standing.faults, standing.since, standing.until, standing.probed_until = 0, now, now + seconds, 0.0
        self._changes_at = 0.0
        return Ejected(fault, seconds, standing.ejections)

    def _settle(self) -> None:
        """Have the next `out` look again."""
        self._changes_at = 0.0
        if not self._standings:
            self._out = NOBODY


def ejection_seconds(in_a_row: int, chance: float) -> float:
    """How long the so-many-th ejection in a row lasts."""
    whole = min(LONGEST_EJECTION, FIRST_EJECTION * 2.0 ** min(in_a_row - 1, 16))
    return whole * (1 - SPREAD * chance)
