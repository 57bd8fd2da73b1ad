"""Which replicas get work: what their failures and their pulse say, told to the log and the metrics.

As long as all is well, a request looks at `troubled` and at nothing else.
"""

import logging
import random
from collections import Counter
from collections.abc import Callable, Mapping

from inference import metrics
from inference.ejection import Ejected, Ejections, Fault
from inference.snapshot import Address, Replica

logger = logging.getLogger(__name__)


class Rotation:
    """Of one gateway process; replicas by name."""

    def __init__(self, chance: Callable[[], float] = random.random) -> None:
        self._chance = chance
        self._ejections = Ejections()
        self._addresses: Mapping[str, Address] = {}
        self._deployments: dict[str, str] = {}
        """of those that have been ejected"""
        self._shown: set[str] = set()
        """deployments whose gauge is not at 0"""
        self.troubled = self._ejections.troubled
        """those that have failed since they last did well; while there are none, what ends well need not be told"""
        self.out = self._ejections.out
        """who gets no request at that moment"""
        self.kv_use: dict[str, float] = {}
        """share of its KV cache that a replica uses, where that is known"""

    def follow(self, addresses: Mapping[str, Address]) -> None:
        """All replicas there are now. Who is gone, or is another one under an old name, starts clean."""
        before, self._addresses = self._addresses, addresses
        for name, address in before.items():
            if addresses.get(name) != address:
                self._forget(name)

    def picked(self, name: str, now: float) -> None:
        """A request goes there."""
        self._ejections.picked(name, now)

    def succeeded(self, name: str, began: float) -> None:
        """The first byte of an answer came."""
        if self._ejections.succeeded(name, began):
            logger.info("replica %s is back in rotation", name)
            self._show()

    def failed(self, deployment: str, replica: Replica, fault: Fault, *, began: float, now: float, why: str) -> None:
        """An attempt failed before the client's first byte; `why` is for the operator."""
        if self._addresses.get(replica.name) != replica.address:
            return  # it is gone: its successor has nothing to do with it
        ejected = self._ejections.failed(replica.name, fault, began=began, now=now, chance=self._chance())
        if ejected is not None:
            self._eject(deployment, replica.name, ejected, why)

    def told_nothing(self, name: str) -> None:
        """An attempt ended in a way that says nothing about the replica."""
        self._ejections.given_up(name)

    def hold(self, deployment: str, name: str, *, now: float, why: str) -> None:
        """The engine hangs: out of rotation until `let_go`."""
        ejected = self._ejections.hold(name, Fault.HUNG, now=now, chance=self._chance())
        if ejected is not None:
            self._eject(deployment, name, ejected, why)

    def let_go(self, name: str) -> None:
        """The engine does not hang, or not any more."""
        if self.troubled and self._ejections.let_go(name):
            logger.info("replica %s moves again and may return", name)

    def _forget(self, name: str) -> None:
        self.kv_use.pop(name, None)
        self._ejections.forget(name)
        if self._deployments.pop(name, None) is not None:
            self._show()

    def _eject(self, deployment: str, name: str, ejected: Ejected, why: str) -> None:
        self._deployments[name] = deployment
        metrics.EJECTIONS.labels(deployment, name, ejected.fault.value).inc()
        logger.warning(
            "replica %s of %s is out of rotation for %.1f s, time %d in a row: %s (%s)",
            name, deployment, ejected.seconds, ejected.in_a_row, ejected.fault.value, why,
        )  # fmt: skip
        self._show()

    def _show(self) -> None:
        out = Counter(self._deployments[name] for name in self._ejections.names)
        for deployment in self._shown | set(out):
            metrics.EJECTED.labels(deployment).set(out[deployment])
        self._shown = set(out)
