"""What every backend promises, whatever engines run on.

Three verbs, all idempotent and none of them waiting for an engine: `apply` orders a replica, `delete` orders its end,
`observe` lists what there is. Calling again is how one waits: whoever drives a backend looks again a little later.

    BackendError     the order could not be carried out now; says why by name, and when to try again
"""

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol

from workers.engines.spec import ReplicaSpec


class Phase(StrEnum):
    """How far a replica is, as its backend sees it. Whether it is ready is asked of the engine itself."""

    RUNNING = "running"
    STOPPING = "stopping"
    EXITED = "exited"


class Obstacle(StrEnum):
    """Why an engine cannot be started. Goes unchanged into the replica's reason."""

    ENGINE_MISSING = "engine_missing"
    MODEL_MISSING = "model_missing"
    MODEL_CORRUPT = "model_corrupt"
    NO_MEMORY = "no_memory"
    NO_DISK = "no_disk"
    NO_PORT = "no_port"
    BAD_SPEC = "bad_spec"
    UNAVAILABLE = "backend_unavailable"


class BackendError(Exception):
    """The order could not be carried out. `retry_after` is in seconds."""

    def __init__(self, message: str, *, reason: Obstacle = Obstacle.UNAVAILABLE, retry_after: float = 10.0) -> None:
        super().__init__(message)
        self.reason = reason
        self.retry_after = retry_after


@dataclass(frozen=True)
class ReplicaStatus:
    """One replica as its backend sees it now."""

    name: str
    deployment: str
    phase: Phase
    spec_hash: str
    url: str = ""
    pid: int | None = None
    started_at: float | None = None
    exit_code: int | None = None
    exit_signal: int | None = None
    stop_ordered: bool = False
    message: str = ""
    log_tail: str = field(default="", repr=False)


class Backend(Protocol):
    """Where engines run. Every method raises `BackendError` and nothing else for what may go wrong outside."""

    def apply(self, spec: ReplicaSpec) -> None:
        """Order this replica. Running with the same hash: nothing happens. Ended: it is started anew.

        Running with another hash: its end is ordered, and a later `apply` starts the new one.
        """

    def delete(self, name: str, *, grace_seconds: float | None = None) -> None:
        """Order its end: SIGTERM, the drain time, then SIGKILL, without waiting for it. Ended: it is forgotten.

        `grace_seconds` takes the place of the drain time of its spec.
        """

    def observe(self) -> list[ReplicaStatus]:
        """All replicas of this backend that are not forgotten, those of other specs and deployments included."""
