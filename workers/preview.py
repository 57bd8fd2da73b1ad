"""A dry run: what the reconciler would do for a deployment as drafted, from what it last wrote down."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from django.db.models import Max
from django.utils import timezone

from controlplane.engine_secrets import shown_variables
from controlplane.lifecycle import ReplicaState
from controlplane.models import Deployment, Replica
from controlplane.models.deployments import Backend, Flavour
from controlplane.preview import Preview, Step
from workers.backends.base import Phase
from workers.backends.kubernetes.rendering import render
from workers.engines import vllm
from workers.engines.spec import ReplicaSpec
from workers.plan import LEAVE_SECONDS, Desired, Observed, Plan, Reason, Wanted, plan
from workers.specs import specs_of

TURNS_A_REPLICA = 8
"""more than any replica needs to be replaced: leave, stop, forget, start"""
_ALIVE = frozenset({ReplicaState.STARTING, ReplicaState.READY, ReplicaState.UNHEALTHY})
_OWN_FLAGS = ("--host", "--port")


def preview(draft: Deployment) -> Preview:
    """The plan of the draft and its engines' specifications."""
    specs = specs_of(draft)
    desired = Desired(
        [Wanted(spec.name, spec.spec_hash) for spec in specs],
        deleted=draft.deleted_at is not None,
        restartable=draft.flavour != Flavour.EXTERNAL,
    )
    rows = Replica.objects.filter(deployment=draft.pk).annotate(since=Max("history__at")).order_by("ordinal")
    return Preview(
        plan=foresee(desired, [_observed(row) for row in rows], timezone.now()),
        manifests=render(specs, secrets=False)
        if draft.backend == Backend.KUBERNETES
        else [manifest(it) for it in specs],
    )


def foresee(desired: Desired, observed: Iterable[Observed], now: datetime) -> list[Step]:
    """All orders until nothing is left to do, if every engine starts and stops as it should. Pure."""
    world = {replica.name: replica for replica in observed}
    steps: list[Step] = []
    for turn in range(1, TURNS_A_REPLICA * (len(world) + len(desired.replicas)) + 2):
        orders = plan(desired, world.values(), now)
        steps += _told(orders, turn)
        if not _goes_on(orders):
            break
        now = _follow(world, orders, desired.replicas, now)
    return steps


def manifest(spec: ReplicaSpec) -> dict[str, Any]:
    """What an engine would be told to be. Its key is not told; the port is chosen when it starts."""
    told: dict[str, Any] = {
        "name": spec.name, "spec_hash": spec.spec_hash, "flavour": spec.flavour, "served_name": spec.served_name,
        "source": spec.source,
    }  # fmt: skip
    if spec.flavour == Flavour.EXTERNAL:
        return told | {"url": spec.external_url}
    return told | {"arguments": _arguments(spec), "environment": shown_variables(spec.engine_env)}


def _arguments(spec: ReplicaSpec) -> list[str]:
    words = vllm.argv(spec, Path("python"), 0)[3:]
    return [
        word
        for place, word in enumerate(words)
        if word not in _OWN_FLAGS and (place == 0 or words[place - 1] not in _OWN_FLAGS)
    ]


def _observed(row: Any) -> Observed:
    state = ReplicaState(row.state)
    phase = Phase.RUNNING if state in _ALIVE else Phase.STOPPING if state is ReplicaState.STOPPING else None
    return Observed(
        row.name, state, phase, spec_hash=row.spec_hash, since=row.since or row.created_at, retry_at=row.retry_at
    )


def _told(orders: Plan, turn: int) -> list[Step]:
    """What is ordered, and of what waits only what the reader would wonder about, once."""
    named = (("leave", orders.leave), ("stop", orders.stop), ("forget", orders.forget), ("start", orders.start))
    told = [Step(turn, name, order.name, order.reason) for name, given in named for order in given]
    if turn == 1:
        told += [Step(turn, "wait", order.name, order.reason) for order in orders.wait]
    return told


def _goes_on(orders: Plan) -> bool:
    acting = orders.start or orders.leave or orders.stop or orders.forget
    return bool(acting) or any(order.reason is not Reason.RUNNING for order in orders.wait)


def _follow(world: dict[str, Observed], orders: Plan, wanted: Sequence[Wanted], now: datetime) -> datetime:
    """Change the world as the orders do when all goes well; answers the time it then is."""
    for order in orders.forget:
        world.pop(order.name)
    for order in orders.leave:
        world[order.name] = replace(world[order.name], state=ReplicaState.STOPPING, since=now)
    for order in [*orders.stop, *(it for it in orders.wait if it.reason is Reason.DRAINING)]:
        world[order.name] = replace(world[order.name], state=ReplicaState.STOPPING, phase=Phase.EXITED)
    later = max(now + timedelta(seconds=LEAVE_SECONDS), *(it.retry_at or now for it in world.values()), now)
    hashes = {wish.name: wish.spec_hash for wish in wanted}
    for order in orders.start:
        world[order.name] = Observed(order.name, ReplicaState.READY, Phase.RUNNING, hashes[order.name], since=later)
    for name, replica in world.items():
        world[name] = _settled(replica)
    return later


def _settled(replica: Observed) -> Observed:
    """Whatever runs and shall go on is ready by the next turn."""
    runs = replica.phase is Phase.RUNNING and replica.state is not ReplicaState.STOPPING
    return replace(replica, state=ReplicaState.READY, retry_at=None) if runs else replica
