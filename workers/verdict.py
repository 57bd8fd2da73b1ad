"""What becomes of a replica's record, given what its backend and its engine say. Pure.

The record is what the reconciler writes to the replica's row; `follow` answers with the next one.
"""

import re
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from signal import SIGKILL, Signals

from controlplane.lifecycle import ReplicaState
from workers.backends.base import BackendError, Phase, ReplicaStatus, Trouble
from workers.plan import Reason

FIRST_WAIT, LONGEST_WAIT = 1.0, 60.0
CRASH_LOOP_AFTER = 4
LOADING = "loading the model, does not answer yet"
PROVEN_SECONDS = 15.0
"""ready for this long, a replica has shown that it can start: its failures are forgotten"""


class Happened(StrEnum):
    """Why a replica came into its state, as far as no order of ours was the reason."""

    ANSWERED = "answered"
    EXITED = "exited"
    KILLED = "killed"
    VANISHED = "vanished"
    ENDED_OUTSIDE = "ended_outside"
    RESTARTED = "restarted"


@dataclass(frozen=True)
class Health:
    """What a probe found. `reason` is a name such as ``no_answer``; `message` is for people."""

    ok: bool
    reason: str = ""
    message: str = ""


@dataclass(frozen=True)
class Record:
    """A replica's row, as values."""

    name: str
    state: ReplicaState = ReplicaState.PENDING
    reason: str = ""
    message: str = ""
    spec_hash: str = ""
    url: str = ""
    pid: int | None = None
    restarts: int = 0
    retry_at: datetime | None = None
    started_at: datetime | None = None
    ready_at: datetime | None = None


_LIVE = frozenset({ReplicaState.STARTING, ReplicaState.READY, ReplicaState.UNHEALTHY})
_SERVING = frozenset({ReplicaState.READY, ReplicaState.UNHEALTHY})
_TROUBLES = frozenset(Trouble)
_LOOPS = _LIVE | {ReplicaState.CRASH_LOOP, ReplicaState.PENDING, ReplicaState.BACKOFF}


def backoff(restarts: int, chance: float) -> timedelta:
    """1, 2, 4 … 60 seconds, of which `chance` (0 to 1) takes off up to a fifth, so that many do not start at once."""
    seconds = min(LONGEST_WAIT, FIRST_WAIT * 2 ** min(max(0, restarts - 1), 10))
    return timedelta(seconds=seconds * (1 - chance / 5))


def follow(record: Record, status: ReplicaStatus | None, health: Health | None, now: datetime, chance: float) -> Record:
    """The record after a look. `health` None means that nothing new is known about the engine."""
    if status is None:
        return _missing(record, now)
    if status.phase is Phase.STOPPING:
        if record.state is ReplicaState.STOPPED:
            return record
        return replace(record, state=ReplicaState.STOPPING, ready_at=None)
    if status.phase is Phase.EXITED:
        return _ended(record, status, now, chance)
    seen = _seen(record, status)
    if status.trouble and not (health and health.ok):
        return _troubled(seen, status)
    return _running(_anew(seen, record, status), health, now)


def started(record: Record, spec_hash: str, reason: Reason, now: datetime) -> Record:
    """After an order to start."""
    fresh = record.spec_hash != spec_hash
    return replace(
        record, state=ReplicaState.STARTING, reason=reason, message=LOADING, spec_hash=spec_hash, retry_at=None,
        restarts=0 if fresh else record.restarts, started_at=now, ready_at=None, pid=None,
    )  # fmt: skip


def refused(record: Record, spec_hash: str, error: BackendError, now: datetime) -> Record:
    """After a start that the backend refused. No failure of the engine: it is tried again soon, and not counted."""
    return replace(
        record, state=ReplicaState.BACKOFF, reason=error.reason, message=str(error), spec_hash=spec_hash,
        retry_at=now + timedelta(seconds=error.retry_after), ready_at=None, pid=None, url="",
    )  # fmt: skip


def leaving(record: Record, reason: Reason) -> Record:
    """Out of rotation. An engine that has to go for its own fault has that counted."""
    fault = reason in {Reason.START_TIMED_OUT, Reason.UNRESPONSIVE}
    return replace(record, state=ReplicaState.STOPPING, reason=reason, ready_at=None, restarts=record.restarts + fault)


def gone(record: Record, reason: str) -> Record:
    """Ended for good, or until it is wanted again."""
    return replace(
        record, state=ReplicaState.STOPPED, reason=reason, message="", retry_at=None, ready_at=None, pid=None, url=""
    )


def _seen(record: Record, status: ReplicaStatus) -> Record:
    began = datetime.fromtimestamp(status.started_at, UTC) if status.started_at else record.started_at
    return replace(record, url=status.url, pid=status.pid, spec_hash=status.spec_hash, started_at=began)


def _anew(seen: Record, before: Record, status: ReplicaStatus) -> Record:
    """The backend has started the engine anew by itself: it has to load before it is asked for anything."""
    other = status.restarts > 0 or before.url != seen.url
    if before.state not in _SERVING or not other or seen.started_at == before.started_at:
        return seen
    return replace(seen, state=ReplicaState.STARTING, reason=Happened.RESTARTED, message=LOADING, ready_at=None)


def _troubled(record: Record, status: ReplicaStatus) -> Record:
    """It was started and does not serve, for a reason that its backend knows."""
    if record.state is ReplicaState.STOPPING or status.trouble is None:
        return record
    telling = _telling_line(status.log_tail)
    looping = status.trouble is Trouble.CRASH_LOOP or status.restarts >= CRASH_LOOP_AFTER
    # Not unhealthy: that is for one that should answer. This one has to start first, and is given the time.
    state = ReplicaState.CRASH_LOOP if looping and record.state in _LOOPS else ReplicaState.STARTING
    return replace(
        record, state=state, reason=status.trouble, ready_at=None, retry_at=None,
        message=f"{status.message}: {telling}" if telling else status.message,
        restarts=max(record.restarts, status.restarts),
    )  # fmt: skip


def _running(record: Record, health: Health | None, now: datetime) -> Record:
    if record.state is ReplicaState.STOPPING:
        return record
    if record.state not in _LIVE:  # adopted: it runs although nobody here remembers having started it
        return replace(record, state=ReplicaState.STARTING, reason=Reason.RUNNING, message=LOADING, retry_at=None)
    if record.reason in _TROUBLES and record.state is ReplicaState.STARTING:
        record = replace(record, reason=Reason.RUNNING, message=LOADING)
    if health is None:
        return record
    if health.ok:
        return _well(record, now)
    if record.state is ReplicaState.STARTING:
        return replace(record, message=LOADING if health.reason == "no_answer" else health.message)
    return replace(record, state=ReplicaState.UNHEALTHY, reason=health.reason, message=health.message, ready_at=None)


def _well(record: Record, now: datetime) -> Record:
    if record.state is not ReplicaState.READY or record.ready_at is None:
        return replace(record, state=ReplicaState.READY, reason=Happened.ANSWERED, message="", ready_at=now)
    proven = now - record.ready_at >= timedelta(seconds=PROVEN_SECONDS)
    return replace(record, restarts=0) if proven else record


def _ended(record: Record, status: ReplicaStatus, now: datetime, chance: float) -> Record:
    if record.state is ReplicaState.STOPPING:
        return gone(record, record.reason)
    if status.stop_ordered:
        return record if record.state is ReplicaState.STOPPED else gone(record, Happened.ENDED_OUTSIDE)
    if record.state not in _LIVE:
        return record  # this death was seen before
    restarts = record.restarts + 1
    looping = restarts >= CRASH_LOOP_AFTER
    return replace(
        record, state=ReplicaState.CRASH_LOOP if looping else ReplicaState.BACKOFF,
        reason=Happened.KILLED if status.exit_signal else Happened.EXITED, message=how_it_ended(status),
        restarts=restarts, retry_at=now + backoff(restarts, chance), ready_at=None, pid=None, url="",
    )  # fmt: skip


def _missing(record: Record, now: datetime) -> Record:
    if record.state is ReplicaState.STOPPING:
        return gone(record, record.reason)
    if record.state in _LIVE:
        return replace(
            record, state=ReplicaState.BACKOFF, reason=Happened.VANISHED, message="its backend no longer knows it",
            retry_at=now, ready_at=None, pid=None, url="",
        )  # fmt: skip
    return record


_ERROR = re.compile(r"^(?!.*\b(WARNING|INFO)\b).*(\w(Error|Exception)\b|error:)")


def how_it_ended(status: ReplicaStatus) -> str:
    """For people: exit code or signal, and the last line of the log that says something."""
    if status.exit_signal:
        by_whom = ", by hand or by the kernel for lack of memory" if status.exit_signal == SIGKILL else ""
        return f"killed by {Signals(status.exit_signal).name}{by_whom}"
    if status.message:
        return status.message
    how = f"ended with exit code {status.exit_code}"
    telling = _telling_line(status.log_tail)
    return f"{how}: {telling}" if telling else how


def _telling_line(log_tail: str) -> str:
    """The last line that tells of an error, else the last one."""
    lines = [line.strip() for line in log_tail.splitlines() if line.strip() and not line.startswith("signalbox: ")]
    telling = [line for line in lines if _ERROR.search(line)] or lines
    return telling[-1][:300] if telling else ""
