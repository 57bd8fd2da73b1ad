"""Writing what was observed: the only place that writes `Replica`, `ReplicaTransition` and `DeploymentStatus`."""

from collections.abc import Iterable
from datetime import datetime

from audit.operations import Operation
from audit.record import Target, record
from controlplane import lifecycle
from controlplane.actors import SYSTEM
from controlplane.lifecycle import DeploymentState, ReplicaState
from controlplane.models import Deployment, DeploymentStatus, Replica, ReplicaTransition
from workers.backends.base import BackendError
from workers.specs import ordinal_of
from workers.verdict import CRASH_LOOP_AFTER, Record

FIELDS = ("reason", "message", "spec_hash", "url", "pid", "restarts", "retry_at", "started_at", "ready_at")
# What people ask the register about: came, went, did not come back.
REGISTERED = frozenset({
    ReplicaState.READY, ReplicaState.UNHEALTHY, ReplicaState.BACKOFF, ReplicaState.CRASH_LOOP, ReplicaState.STOPPED,
})  # fmt: skip


def record_of(replica: Replica) -> Record:
    """A row as values."""
    fields = {name: getattr(replica, name) for name in FIELDS}
    return Record(name=replica.name, state=ReplicaState(replica.state), **fields)


def write(deployment: Deployment, replica: Replica | None, new: Record, *, log_tail: str = "") -> Replica:
    """Bring the row to `new`; a change of state gets a line of history and, where it matters, of the register."""
    if replica is None:
        replica = Replica(deployment=deployment, name=new.name, ordinal=ordinal_of(new.name))
    elif record_of(replica) == new:
        return replica
    old = ReplicaState(replica.state)
    moved = lifecycle.move(replica, new.state)
    for name in FIELDS:
        setattr(replica, name, getattr(new, name))
    replica.save()
    if moved:
        _tell(deployment, replica, old, log_tail)
    return replica


def _tell(deployment: Deployment, replica: Replica, old: ReplicaState, log_tail: str) -> None:
    ReplicaTransition.objects.create(
        replica=replica, old_state=old, new_state=replica.state, reason=replica.reason, message=replica.message,
        log_tail=log_tail,
    )  # fmt: skip
    if replica.state in REGISTERED:
        record(
            Operation.REPLICA_STATE_CHANGED, actor=SYSTEM, kind="system", reason=replica.reason,
            target=Target(type="replica", id=str(replica.pk), name=replica.name),
            project=deployment.project.name if deployment.project else "",
            changes={"state": [old.value, replica.state]},
            detail={"deployment": deployment.name, "message": replica.message},
        )  # fmt: skip


def summary(deployment: Deployment, records: Iterable[Record]) -> tuple[DeploymentState, str, int]:
    """State, message and number of ready replicas of a deployment as a whole. Pure."""
    living = [one for one in records if one.state is not ReplicaState.STOPPED]
    ready = sum(one.state is ReplicaState.READY for one in living)
    wanted = 0 if deployment.deleted_at else deployment.replicas
    message = next((f"{one.name}: {_words(one)}" for one in living if one.state is not ReplicaState.READY), "")
    if not wanted:
        return (DeploymentState.PROGRESSING if living else DeploymentState.STOPPED), message, ready
    if ready >= wanted:
        return DeploymentState.READY, message, ready
    if ready:
        return DeploymentState.DEGRADED, message, ready
    looping = any(one.restarts >= CRASH_LOOP_AFTER for one in living)
    return (DeploymentState.FAILED if looping else DeploymentState.PROGRESSING), message, ready


def _words(one: Record) -> str:
    return one.message or one.reason or one.state.value


def write_summary(status: DeploymentStatus, records: Iterable[Record], now: datetime) -> None:
    """Renew the deployment's status."""
    state, message, ready = summary(status.deployment, records)
    lifecycle.move(status, state)
    status.message, status.ready_replicas, status.observed_at = message, ready, now
    status.save()


def write_unseen(deployments: Iterable[Deployment], error: BackendError) -> None:
    """Say that their backend cannot be looked at, and why. The states stay as they were last seen."""
    DeploymentStatus.objects.filter(deployment__in=deployments).exclude(message=str(error)).update(message=str(error))
