"""Making observed equal to desired: look, plan, execute, write down, publish. Level-triggered and safe to run anywhere.

A deployment is claimed in PostgreSQL (``FOR UPDATE SKIP LOCKED`` on its status row, which no action of a user's waits
for), so two workers never work on the same one. Whoever claims it first makes sure that what was looked at is no older
than what the last one did. A claim is a lease: PostgreSQL ends the session of a worker that stands still for longer
than `LEASE_SECONDS`, and the next one takes over with a higher epoch. The fence keeps the first from writing when it
wakes up.
"""

import logging
import random
from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from django.db import connection, transaction
from django.db.models import Max, ProtectedError, QuerySet
from django.utils import timezone

from controlplane import publish
from controlplane.lifecycle import ReplicaState
from controlplane.models import Deployment, DeploymentStatus, Replica
from controlplane.models.deployments import Backend as BackendName
from controlplane.models.deployments import Flavour
from controlplane.sealing import Unopenable
from workers import verdict
from workers.backends.base import ALONE, Backend, BackendError, Fence, Phase, ReplicaStatus
from workers.engines.spec import ReplicaSpec
from workers.history import record_of, write, write_summary, write_unseen
from workers.plan import START_SECONDS, Desired, Observed, Order, Plan, Reason, Wanted, plan
from workers.probe import Prober, Target
from workers.specs import specs_of
from workers.verdict import Health, Record

logger = logging.getLogger(__name__)

PATIENCE_SECONDS = 1.0
"""what a pass waits for probes; slower answers count at the next pass"""
HUNG_GRACE_SECONDS = 3.0
LEASE_SECONDS = 20
"""longer than a request to any backend takes"""


@dataclass
class View:
    """What was seen of one backend at one time."""

    statuses: dict[str, dict[str, ReplicaStatus]]
    """deployment name -> replica name -> status"""
    at: datetime

    @classmethod
    def of(cls, backend: Backend) -> "View":
        at, statuses = timezone.now(), defaultdict[str, dict[str, ReplicaStatus]](dict)
        for status in backend.observe():
            statuses[status.deployment][status.name] = status
        return cls(dict(statuses), at)


@dataclass
class Replicas:
    """The replicas of one deployment during a pass: rows, records and the latest statuses by name."""

    deployment: Deployment
    rows: dict[str, Replica]
    statuses: dict[str, ReplicaStatus]
    specs: dict[str, ReplicaSpec]
    since: dict[str, datetime]
    changed: bool = False

    @classmethod
    def of(cls, deployment: Deployment, statuses: dict[str, ReplicaStatus]) -> "Replicas":
        rows = list(deployment.replica_set.annotate(since=Max("history__at")))
        return cls(
            deployment=deployment,
            rows={row.name: row for row in rows},
            statuses=statuses,
            specs={spec.name: spec for spec in specs_of(deployment)},
            since={row.name: row.since or row.created_at for row in rows},
        )

    def record(self, name: str) -> Record:
        row = self.rows.get(name)
        return record_of(row) if row else Record(name=name)

    def set(self, new: Record) -> None:
        """Write a record down."""
        status = self.statuses.get(new.name)
        before = self.record(new.name)
        self.rows[new.name] = write(
            self.deployment, self.rows.get(new.name), new, log_tail=status.log_tail if status else ""
        )
        if before.state is not new.state or new.name not in self.since:
            self.since[new.name] = timezone.now()
        self.changed |= before != new

    def names(self) -> list[str]:
        return sorted({*self.rows, *self.statuses, *self.specs})


class Reconciler:
    """`backend_of` gives a backend by name; `prober` asks engines."""

    def __init__(
        self, backend_of: Callable[[str], Backend], prober: Prober, chance: Callable[[], float] = random.random
    ) -> None:
        self._backend_of, self._prober, self._chance = backend_of, prober, chance

    def run(self, deployments: QuerySet[Deployment]) -> int:
        """One pass over these deployments; answers how many were worked on. One that fails does not hold up others."""
        todo = [one for one in deployments.select_related("version", "project").order_by("pk") if _is_readable(one)]
        views, unseen = self._views({one.backend for one in todo})
        for name, error in unseen.items():
            write_unseen([one for one in todo if one.backend == name], error)
        todo = [one for one in todo if one.backend in views]
        health = self._probe(todo, views)
        worked = sum(self._one(one.pk, one.backend, views, health) for one in todo)
        publish.publish_routes()
        return worked

    def _views(self, names: Iterable[str]) -> tuple[dict[str, View], dict[str, BackendError]]:
        """What can be seen, and why the rest cannot."""
        views, unseen = {}, {}
        for name in names:
            try:
                views[name] = View.of(self._backend_of(name))
            except BackendError as exc:
                logger.warning("backend %s cannot be observed: %s", name, exc)
                unseen[name] = exc
        return views, unseen

    def _view(self, name: str) -> View | None:
        try:
            return View.of(self._backend_of(name))
        except BackendError as exc:
            logger.warning("backend %s cannot be observed: %s", name, exc)
            return None

    def _probe(self, deployments: Iterable[Deployment], views: dict[str, View]) -> dict[str, Health]:
        ready = set(Replica.objects.filter(state=ReplicaState.READY).values_list("name", flat=True))
        targets = [
            _target(one, spec, status, ready=spec.name in ready)
            for one in deployments
            for spec in specs_of(one)
            if (status := views[one.backend].statuses.get(one.name, {}).get(spec.name)) is not None
            and status.phase is Phase.RUNNING
            and status.url
        ]
        return self._prober.ask(targets, PATIENCE_SECONDS)

    def _one(self, pk: UUID, backend_name: str, views: dict[str, View], health: dict[str, Health]) -> bool:
        try:
            with transaction.atomic():
                status = _claim(pk)
                if status is None:
                    return False
                fence = _fence()
                if status.observed_at and status.observed_at > views[backend_name].at:
                    view = self._view(backend_name)
                    if view is None:
                        return False
                    views[backend_name], health = view, {}
                self._work(status, self._backend_of(backend_name), views[backend_name], health, fence)
        except Exception:  # one deployment's trouble is not the others'
            logger.exception("deployment %s was not reconciled, the next pass tries again", pk)
            if not connection.in_atomic_block:
                connection.close_if_unusable_or_obsolete()  # the lease may have ended with the session
            return False
        return True

    def _work(
        self, status: DeploymentStatus, backend: Backend, view: View, health: dict[str, Health], fence: Fence
    ) -> None:
        now = timezone.now()
        replicas = Replicas.of(status.deployment, view.statuses.get(status.deployment.name, {}))
        for name in replicas.names():
            seen = verdict.follow(
                replicas.record(name), replicas.statuses.get(name), health.get(name), now, self._chance()
            )
            replicas.set(seen)
        execute(_plan(replicas, now), replicas, backend, now, fence)
        if replicas.deployment.deleted_at and not replicas.statuses and _all_gone(replicas):
            _remove(replicas.deployment)
            return
        if replicas.changed or status.observed_at is None or now - status.observed_at > timedelta(seconds=10):
            write_summary(status, [replicas.record(name) for name in replicas.names()], timezone.now())
        if replicas.changed:
            transaction.on_commit(publish.publish_routes)


def _is_readable(deployment: Deployment) -> bool:
    """False without the master key of its secrets: its engines then stay as they are."""
    try:
        specs_of(deployment)
    except Unopenable as exc:
        logger.error("deployment %s is left as it is: its secrets cannot be read. %s", deployment, exc)  # noqa: TRY400
        return False
    return True


def _claim(pk: UUID) -> DeploymentStatus | None:
    """The status row, locked for this transaction; None when somebody else works on it or it is gone."""
    DeploymentStatus.objects.get_or_create(deployment_id=pk)
    return (
        DeploymentStatus.objects.select_for_update(skip_locked=True, of=("self",))
        .select_related("deployment__version__model", "deployment__project")
        .filter(pk=pk)
        .first()
    )


def _fence() -> Fence:
    """The claim of this transaction as others see it: later claims of the same deployment have a higher epoch.

    PostgreSQL's clock is the one that all claimants share; it is read while the row is locked.
    """
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT (extract(epoch FROM clock_timestamp()) * 1000)::bigint,"
            " set_config('idle_in_transaction_session_timeout', %s, true)",
            [f"{LEASE_SECONDS}s"],
        )
        epoch = int(cursor.fetchone()[0])
    return Fence(epoch, _check_lease)


def _check_lease() -> None:
    """Raises a database error when the session, and the lock with it, is gone."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")


def _target(deployment: Deployment, spec: ReplicaSpec, status: ReplicaStatus, *, ready: bool) -> Target:
    return Target(
        name=spec.name, url=status.url, served_name=spec.served_name, key=spec.engine_key, run=status.started_at,
        ready=ready, external=deployment.flavour == Flavour.EXTERNAL,
        tls_ca=deployment.tls_ca, tls_verify=deployment.tls_verify,
    )  # fmt: skip


def _plan(replicas: Replicas, now: datetime) -> Plan:
    desired = Desired(
        replicas=[Wanted(spec.name, spec.spec_hash) for spec in replicas.specs.values()],
        deleted=replicas.deployment.deleted_at is not None,
        restartable=replicas.deployment.flavour != Flavour.EXTERNAL,
        start_seconds=None if replicas.deployment.backend == BackendName.KUBERNETES else START_SECONDS,
    )
    return plan(desired, [_observed(replicas, name) for name in replicas.names() if name in replicas.rows], now)


def _observed(replicas: Replicas, name: str) -> Observed:
    record, status = replicas.record(name), replicas.statuses.get(name)
    return Observed(
        name=name, state=record.state, phase=status.phase if status else None, since=replicas.since[name],
        spec_hash=status.spec_hash if status else record.spec_hash, retry_at=record.retry_at,
    )  # fmt: skip


def execute(orders: Plan, replicas: Replicas, backend: Backend, now: datetime, fence: Fence = ALONE) -> None:
    """Carry the orders out, each written down. What the backend refuses is written down too, with its reason."""
    for order in orders.leave:
        replicas.set(verdict.leaving(replicas.record(order.name), order.reason))
    for order in [*orders.stop, *orders.forget]:
        _end(order, replicas, backend, fence)
    for order in orders.start:
        _start(order, replicas, backend, now, fence)
    for order in orders.wait:
        if order.reason is Reason.RUNNING:
            _keep(order.name, replicas, backend, fence)


def _start(order: Order, replicas: Replicas, backend: Backend, now: datetime, fence: Fence) -> None:
    name = order.name
    spec = replicas.specs[name]
    try:
        backend.apply(spec, fence=fence)
    except BackendError as exc:
        replicas.set(verdict.refused(replicas.record(name), spec.spec_hash, exc, now))
    else:
        replicas.set(verdict.started(replicas.record(name), spec.spec_hash, order.reason, now))


def _keep(name: str, replicas: Replicas, backend: Backend, fence: Fence) -> None:
    """Applied again, so that what has no part in the hash follows, and what was taken away beside it comes back."""
    try:
        backend.apply(replicas.specs[name], fence=fence)
    except BackendError as exc:
        logger.warning("replica %s runs, but could not be looked after: %s", name, exc)


def _end(order: Order, replicas: Replicas, backend: Backend, fence: Fence) -> None:
    name, reason = order.name, order.reason
    try:
        # One that does not answer finishes no request: waiting for it would only prolong the outage.
        grace = HUNG_GRACE_SECONDS if reason is Reason.UNRESPONSIVE else None
        backend.delete(name, grace_seconds=grace, fence=fence)
    except BackendError as exc:
        logger.warning("replica %s could not be ended, the next pass tries again: %s", name, exc)
        return
    status = replicas.statuses.get(name)
    if status is None or status.phase is Phase.EXITED:
        replicas.statuses.pop(name, None)
        replicas.set(verdict.gone(replicas.record(name), replicas.record(name).reason or reason))
    elif replicas.record(name).state is not ReplicaState.STOPPING:
        replicas.set(verdict.leaving(replicas.record(name), reason))


def _all_gone(replicas: Replicas) -> bool:
    return all(replicas.record(name).state is ReplicaState.STOPPED for name in replicas.names())


def _remove(deployment: Deployment) -> None:
    try:
        deployment.delete()
    except ProtectedError:
        logger.warning("deployment %s is still a route's target: change the route, then it goes", deployment.name)
