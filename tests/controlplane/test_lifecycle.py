"""Every pair of states, against the table."""

from itertools import product
from types import SimpleNamespace

import pytest

from controlplane import lifecycle
from controlplane.lifecycle import (
    TRANSITIONS,
    AlertState,
    DeploymentState,
    IllegalTransition,
    ReplicaState,
    VersionState,
)

MACHINES = (ReplicaState, DeploymentState, VersionState, AlertState)
PAIRS = [pair for machine in MACHINES for pair in product(machine, repeat=2)]


@pytest.mark.parametrize(("old", "new"), PAIRS, ids=lambda state: str(state.value))
def test_pair(old: ReplicaState, new: ReplicaState) -> None:
    thing = SimpleNamespace(state=old.value)
    if old is new:
        assert lifecycle.move(thing, new) is False
    elif new in TRANSITIONS[type(old)][old]:
        assert lifecycle.move(thing, new) is True
        assert thing.state == new.value
    else:
        with pytest.raises(IllegalTransition):
            lifecycle.move(thing, new)
        assert thing.state == old.value


@pytest.mark.parametrize("machine", MACHINES)
def test_table_is_whole_and_closed(machine: type[ReplicaState]) -> None:
    for state in machine:
        following = TRANSITIONS[machine][state]
        assert all(type(new) is machine for new in following)
        assert state not in following


@pytest.mark.parametrize("machine", MACHINES)
def test_every_state_can_be_reached_and_left(machine: type[ReplicaState]) -> None:
    table = TRANSITIONS[machine]
    assert set().union(*table.values()) | {next(iter(machine))} == set(machine)
    assert all(table[state] for state in machine)


@pytest.mark.parametrize("new", [ReplicaState.UNHEALTHY, ReplicaState.STARTING, ReplicaState.BACKOFF])
def test_ready_replica_may_fail(new: ReplicaState) -> None:
    """Kinds share the names of states and must not share their rows in the table."""
    assert lifecycle.can_move(ReplicaState.READY, new)
    assert not lifecycle.can_move(ReplicaState.STOPPING, ReplicaState.READY)


def test_unknown_state_is_no_state() -> None:
    with pytest.raises(ValueError, match="asleep"):
        lifecycle.move(SimpleNamespace(state="asleep"), ReplicaState.READY)
