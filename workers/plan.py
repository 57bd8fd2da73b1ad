"""What is to be done about one deployment: desired and observed go in, orders with named reasons come out. Pure.

Orders are few and small on purpose: the next pass, two seconds later, sees what became of them and goes on.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum

from controlplane.lifecycle import ReplicaState
from workers.backends.base import Phase

LEAVE_SECONDS = 1.0
"""between leaving the gateway's tables and SIGTERM: every gateway has read the new tables by then"""
START_SECONDS = 1800.0
"""an engine may fetch its model first; one that is not ready after this is started anew"""
UNRESPONSIVE_SECONDS = 45.0
"""a running engine that has not been well for this long is started anew"""


class Reason(StrEnum):
    """Why something is ordered, or not yet. Goes unchanged into the replica's row, its history and the register."""

    MISSING = "missing"
    RESTART = "restart"
    SPEC_CHANGED = "spec_changed"
    SURPLUS = "surplus"
    DEPLOYMENT_DELETED = "deployment_deleted"
    START_TIMED_OUT = "start_timed_out"
    UNRESPONSIVE = "unresponsive"
    BACKING_OFF = "backing_off"
    NO_ROOM_YET = "no_room_yet"
    LEAVING_ROTATION = "leaving_rotation"
    DRAINING = "draining"
    OTHERS_NOT_READY = "others_not_ready"
    RUNNING = "running"


@dataclass(frozen=True)
class Wanted:
    """One replica that there shall be."""

    name: str
    spec_hash: str


@dataclass(frozen=True)
class Desired:
    """A deployment as ordered. `restartable` is False for engines that are not ours to start."""

    replicas: Sequence[Wanted]
    deleted: bool = False
    restartable: bool = True
    start_seconds: float | None = START_SECONDS
    """None: the backend itself starts anew what takes too long"""


@dataclass(frozen=True)
class Observed:
    """One replica as recorded and as seen. `phase` is None when the backend does not know it (any more)."""

    name: str
    state: ReplicaState
    phase: Phase | None
    spec_hash: str
    since: datetime
    """when it came into `state`"""
    retry_at: datetime | None = None


@dataclass(frozen=True)
class Order:
    name: str
    reason: Reason


@dataclass(frozen=True)
class Plan:
    """`start`: apply. `leave`: out of the gateway's tables first. `stop`: end it. `forget`: it has ended, drop it."""

    start: list[Order] = field(default_factory=list)
    leave: list[Order] = field(default_factory=list)
    stop: list[Order] = field(default_factory=list)
    forget: list[Order] = field(default_factory=list)
    wait: list[Order] = field(default_factory=list)


_ALIVE = (Phase.RUNNING, Phase.STOPPING)


def plan(desired: Desired, observed: Iterable[Observed], now: datetime) -> Plan:
    """The next orders. Never starts more than there may be, never ends a ready replica that is wanted as it is."""
    known = {replica.name: replica for replica in observed}
    wanted = {replica.name: replica for replica in desired.replicas}
    result = Plan()
    for name, replica in known.items():
        if name not in wanted:
            _end(result, replica, Reason.DEPLOYMENT_DELETED if desired.deleted else Reason.SURPLUS, now)
    room = len(wanted) - sum(replica.phase in _ALIVE for replica in known.values())
    for name, wish in wanted.items():
        found = known.get(name)
        if found is None or found.phase not in _ALIVE:
            room -= _start(result, wish, found, room, now)
        elif found.phase is Phase.STOPPING or found.state is ReplicaState.STOPPING:
            _end(result, found, Reason.DRAINING, now)
        elif fault := _fault(desired, found, now):
            _end(result, found, fault, now)
        elif found.spec_hash != wish.spec_hash:
            _replace(result, found, wanted, known, now)
        else:
            result.wait.append(Order(name, Reason.RUNNING))
    return result


def _start(result: Plan, wish: Wanted, replica: Observed | None, room: int, now: datetime) -> int:
    """Start it if there is room and it need not wait; answers how many were started."""
    changed = replica is not None and replica.spec_hash not in {"", wish.spec_hash}
    waiting = replica is not None and replica.retry_at is not None and replica.retry_at > now
    if waiting and not changed:
        result.wait.append(Order(wish.name, Reason.BACKING_OFF))
    elif room <= 0:
        result.wait.append(Order(wish.name, Reason.NO_ROOM_YET))
    else:
        result.start.append(Order(wish.name, _why_start(replica, changed=changed)))
        return 1
    return 0


def _why_start(replica: Observed | None, *, changed: bool) -> Reason:
    if changed:
        return Reason.SPEC_CHANGED
    never = replica is None or replica.state in {ReplicaState.PENDING, ReplicaState.STOPPED}
    return Reason.MISSING if never else Reason.RESTART


def _fault(desired: Desired, replica: Observed, now: datetime) -> Reason | None:
    """Why a running engine has to be started anew; None when it has not."""
    lasted = now - replica.since
    if not desired.restartable:
        return None
    patience = desired.start_seconds
    if replica.state is ReplicaState.STARTING and patience is not None and lasted > timedelta(seconds=patience):
        return Reason.START_TIMED_OUT
    if replica.state is ReplicaState.UNHEALTHY and lasted > timedelta(seconds=UNRESPONSIVE_SECONDS):
        return Reason.UNRESPONSIVE
    return None


def _replace(
    result: Plan, replica: Observed, wanted: dict[str, Wanted], known: dict[str, Observed], now: datetime
) -> None:
    """One at a time, so that the others go on serving; one that does not serve anyway goes at once."""
    others = [known.get(name) for name in wanted if name != replica.name]
    busy = {order.name for order in [*result.leave, *result.stop]} & wanted.keys()
    steady = all(other is not None and other.state is ReplicaState.READY for other in others) and not busy
    if replica.state is not ReplicaState.READY or steady:
        _end(result, replica, Reason.SPEC_CHANGED, now)
    else:
        result.wait.append(Order(replica.name, Reason.OTHERS_NOT_READY))


def _end(result: Plan, replica: Observed, reason: Reason, now: datetime) -> None:
    """The next step of two-phase deletion: out of the tables, then SIGTERM and drain, then gone."""
    if replica.phase is Phase.STOPPING:
        result.wait.append(Order(replica.name, Reason.DRAINING))
    elif replica.phase is not Phase.RUNNING:
        result.forget.append(Order(replica.name, reason))
    elif replica.state is ReplicaState.READY:
        result.leave.append(Order(replica.name, reason))
    elif replica.state is ReplicaState.STOPPING and now - replica.since < timedelta(seconds=LEAVE_SECONDS):
        result.wait.append(Order(replica.name, Reason.LEAVING_ROTATION))
    else:
        result.stop.append(Order(replica.name, reason))
