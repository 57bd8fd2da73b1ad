"""Where logs and events of replicas are read that run elsewhere. The workers know; they say so here."""

from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from controlplane.models import Replica


@dataclass(frozen=True)
class ReplicaEvent:
    """One thing that a backend tells about a replica; `count` times so far, the last time `at`."""

    at: datetime
    type: str
    """Normal or Warning"""
    reason: str
    message: str
    count: int


class SourceAwayError(Exception):
    """It cannot be read now; says why, for people."""


class Source(Protocol):
    """Both raise `SourceAwayError`."""

    def log(self, name: str, *, lines: int) -> str | None:
        """The last lines of a replica's log; None when there is none."""

    def events(self, name: str) -> list[ReplicaEvent]:
        """What happened to a replica, the newest first."""


_sources: dict[str, Source] = {}


def register(backend: str, source: Source) -> None:
    """Ask this one about the replicas of that backend from now on."""
    _sources[backend] = source


def source_of(replica: Replica) -> Source | None:
    """None for a replica of this machine, or of nowhere."""
    return _sources.get(replica.deployment.backend)


def events(replica: Replica) -> list[ReplicaEvent]:
    """What its backend tells about the replica, the newest first. Raises `SourceAwayError`."""
    source = source_of(replica)
    return source.events(replica.name) if source else []
