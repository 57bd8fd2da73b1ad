"""What every backend promises, whatever engines run on.

Three verbs, all idempotent and none of them waiting for an engine: `apply` orders a replica, `delete` orders its end,
`observe` lists what there is. Calling again is how one waits: whoever drives a backend looks again a little later.

    BackendError     the order could not be carried out now; says why by name, and when to try again
"""

from collections.abc import Callable
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
    CREDENTIALS = "credentials_refused"
    FORBIDDEN = "forbidden"
    NAMESPACE_MISSING = "namespace_missing"
    REJECTED = "rejected"
    THROTTLED = "throttled"
    CONFLICT = "conflict"
    OUTRANKED = "outranked"
    NAME_TAKEN = "name_taken"


class Trouble(StrEnum):
    """Why an engine that was started does not serve, as its backend knows. Goes unchanged into the replica's reason."""

    IMAGE = "image_pull_failed"
    UNSCHEDULABLE = "unschedulable"
    OUT_OF_MEMORY = "oom_killed"
    CRASH_LOOP = "crash_loop"
    FAILED = "container_failed"
    CONFIG = "container_cannot_start"
    VOLUME = "volume_not_mounted"
    EVICTED = "evicted"
    NODE_LOST = "node_lost"
    NO_POD = "pod_not_created"


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
    trouble: Trouble | None = None
    """why it does not serve, or not yet, although it has not ended; `message` says it in words"""
    restarts: int = 0
    """how often its backend has started it anew by itself"""
    log_tail: str = field(default="", repr=False)


@dataclass(frozen=True)
class Fence:
    """Who gives an order, so that one whose time is over cannot carry it out any more.

    `epoch` is larger than that of everybody who had the right to give orders for this replica before. `check` raises
    when the right is lost; it is called again before each step that cannot be undone.
    """

    epoch: int = 0
    check: Callable[[], None] = lambda: None


ALONE = Fence()
"""where there is nobody else"""


class Backend(Protocol):
    """Where engines run. Every method raises `BackendError` and nothing else for what may go wrong outside."""

    def apply(self, spec: ReplicaSpec, *, fence: Fence = ALONE) -> None:
        """Order this replica. Running with the same hash: nothing happens to it. Ended: it is started anew.

        Running with another hash: its end is ordered, and a later `apply` starts the new one.
        """

    def delete(self, name: str, *, grace_seconds: float | None = None, fence: Fence = ALONE) -> None:
        """Order its end: SIGTERM, the drain time, then SIGKILL, without waiting for it. Ended: it is forgotten.

        `grace_seconds` takes the place of the drain time of its spec.
        """

    def observe(self) -> list[ReplicaStatus]:
        """All replicas of this backend that are not forgotten, those of other specs and deployments included."""
