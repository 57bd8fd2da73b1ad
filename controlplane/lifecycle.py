"""The states of things and the moves between them: one table, and the only code that assigns `.state`.

`docs/lifecycle.md` is drawn from `TRANSITIONS` (``manage.py draw_lifecycle``).
"""

from typing import Protocol

from django.db.models import TextChoices
from django.utils.translation import gettext_lazy as _


class ReplicaState(TextChoices):
    """One engine, from the order to start it until it is gone."""

    PENDING = "pending", _("Pending")
    STARTING = "starting", _("Starting")
    READY = "ready", _("Ready")
    UNHEALTHY = "unhealthy", _("Unhealthy")
    BACKOFF = "backoff", _("Waiting to restart")
    CRASH_LOOP = "crash_loop", _("Crash loop")
    STOPPING = "stopping", _("Stopping")
    STOPPED = "stopped", _("Stopped")


class DeploymentState(TextChoices):
    """A deployment as a whole, computed from its replicas."""

    PENDING = "pending", _("Pending")
    PROGRESSING = "progressing", _("Progressing")
    READY = "ready", _("Ready")
    DEGRADED = "degraded", _("Degraded")
    FAILED = "failed", _("Failed")
    STOPPED = "stopped", _("Stopped")


class VersionState(TextChoices):
    """A model version: may it be deployed?"""

    AVAILABLE = "available", _("Available")
    RETIRED = "retired", _("Retired")


class AlertState(TextChoices):
    """An alert, from the first breach of its rule until it is well again."""

    INACTIVE = "inactive", _("Over")
    PENDING = "pending", _("Pending")
    FIRING = "firing", _("Firing")
    RECOVERING = "recovering", _("Recovering")
    NODATA = "nodata", _("No data")
    ERROR = "error", _("Cannot be evaluated")


class ExportState(TextChoices):
    """An export of the register, until its files are gone."""

    PENDING = "pending", _("Pending")
    RUNNING = "running", _("Running")
    DONE = "done", _("Done")
    FAILED = "failed", _("Failed")
    CANCELLED = "cancelled", _("Cancelled")
    EXPIRED = "expired", _("Deleted")


_R, _D, _V, _A, _E = ReplicaState, DeploymentState, VersionState, AlertState, ExportState

# By kind first: members are texts, so ReplicaState.READY and DeploymentState.READY would be one key of a flat table.
TRANSITIONS: dict[type[TextChoices], dict[TextChoices, frozenset[TextChoices]]] = {
    _R: {
        _R.PENDING: frozenset({_R.STARTING, _R.BACKOFF, _R.CRASH_LOOP, _R.STOPPING, _R.STOPPED}),
        _R.STARTING: frozenset({_R.READY, _R.UNHEALTHY, _R.BACKOFF, _R.CRASH_LOOP, _R.STOPPING, _R.STOPPED}),
        _R.READY: frozenset({_R.UNHEALTHY, _R.STARTING, _R.BACKOFF, _R.CRASH_LOOP, _R.STOPPING, _R.STOPPED}),
        _R.UNHEALTHY: frozenset({_R.READY, _R.STARTING, _R.BACKOFF, _R.CRASH_LOOP, _R.STOPPING, _R.STOPPED}),
        _R.BACKOFF: frozenset({_R.STARTING, _R.CRASH_LOOP, _R.STOPPING, _R.STOPPED}),
        _R.CRASH_LOOP: frozenset({_R.STARTING, _R.BACKOFF, _R.STOPPING, _R.STOPPED}),
        _R.STOPPING: frozenset({_R.STOPPED}),
        _R.STOPPED: frozenset({_R.PENDING, _R.STARTING, _R.BACKOFF}),
    },
    _D: {state: frozenset(set(_D) - {state}) for state in _D},
    _V: {_V.AVAILABLE: frozenset({_V.RETIRED}), _V.RETIRED: frozenset({_V.AVAILABLE})},
    _A: {
        _A.INACTIVE: frozenset({_A.PENDING, _A.FIRING}),
        _A.PENDING: frozenset({_A.INACTIVE, _A.FIRING, _A.NODATA, _A.ERROR}),
        _A.FIRING: frozenset({_A.INACTIVE, _A.RECOVERING, _A.NODATA, _A.ERROR}),
        _A.RECOVERING: frozenset({_A.INACTIVE, _A.FIRING, _A.NODATA, _A.ERROR}),
        _A.NODATA: frozenset({_A.INACTIVE, _A.PENDING, _A.FIRING, _A.RECOVERING, _A.ERROR}),
        _A.ERROR: frozenset({_A.INACTIVE, _A.PENDING, _A.FIRING, _A.RECOVERING, _A.NODATA}),
    },
    _E: {
        _E.PENDING: frozenset({_E.RUNNING, _E.FAILED, _E.CANCELLED}),
        _E.RUNNING: frozenset({_E.DONE, _E.FAILED, _E.CANCELLED}),
        _E.DONE: frozenset({_E.EXPIRED}),
        _E.FAILED: frozenset({_E.EXPIRED}),
        _E.CANCELLED: frozenset({_E.EXPIRED}),
        _E.EXPIRED: frozenset(),
    },
}


class IllegalTransition(Exception):
    """A move that the table does not know."""


class Stateful(Protocol):
    state: str


def can_move(current: TextChoices, new: TextChoices) -> bool:
    """True when `new` may follow `current`. Staying is no move and always allowed."""
    return current is new or new in TRANSITIONS[type(current)][current]


def move(thing: Stateful, new: TextChoices) -> bool:
    """Assign `thing.state`; the caller saves it. False when it was there already.

    Raises `IllegalTransition` when the table does not know the move.
    """
    current = type(new)(thing.state)
    if current is new:
        return False
    if not can_move(current, new):
        raise IllegalTransition(f"{type(new).__name__}: {current.value} -> {new.value} is not in the table")
    thing.state = new.value
    return True
