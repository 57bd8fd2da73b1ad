"""The backend of a Kubernetes namespace.

A replica is made in steps that can be repeated and interrupted anywhere: its Deployment, paused, so that no pod starts;
then what the pod needs, all of it owned by the Deployment; then the pause is taken away. Whoever has lost the right to
give orders meanwhile is stopped between the steps by the fence, and by the version of the Deployment that he has seen.
"""

import random
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from http import HTTPStatus

from controlplane.replica_sources import ReplicaEvent
from workers.backends.base import ALONE, BackendError, Fence, Obstacle, Phase, ReplicaStatus, Trouble
from workers.backends.kubernetes import manifests, names
from workers.backends.kubernetes.api import TURNS, Api, Exactly, Object
from workers.backends.kubernetes.conditions import container
from workers.backends.kubernetes.errors import ApiError, translated
from workers.backends.kubernetes.manifests import Manifest, Owner, Place
from workers.backends.kubernetes.statuses import Seen, current, is_waiting, seen
from workers.engines.spec import ReplicaSpec

OURS = f"{names.MANAGED_BY}={names.MANAGER}"
RENEW_SECONDS = 600.0
"""what somebody else changed or deleted beside a running engine is put right after at most this long"""
LONGEST_WAIT = 60.0
LOG_LINES = 40
MOST_LOGS = 10
"""logs of crashed containers fetched in one look; the others follow at the next"""
MOST_EVENTS = 500
EVENTS_SHOWN = 50
_ENDED = frozenset({Trouble.CRASH_LOOP, Trouble.FAILED, Trouble.OUT_OF_MEMORY})


@dataclass
class _Rest:
    """After a failed look: when to try again, and what to say until then."""

    failures: int = 0
    until: float = 0.0
    error: BackendError | None = None


@dataclass
class KubernetesBackend:
    """`clock` is monotonic, `chance` between 0 and 1."""

    api: Api
    place: Place
    clock: Callable[[], float] = time.monotonic
    chance: Callable[[], float] = random.random
    _rest: _Rest = field(default_factory=_Rest)
    _runs: dict[str, str] = field(default_factory=dict)
    """replicas that ran at the last look, with their hashes: `apply` has nothing to do for them until"""
    _renewed: dict[str, float] = field(default_factory=dict)
    """this time"""
    _logs: dict[str, str] = field(default_factory=dict)

    def apply(self, spec: ReplicaSpec, *, fence: Fence = ALONE) -> None:
        if self._runs.get(spec.name) == spec.spec_hash and self.clock() < self._renewed.get(spec.name, 0.0):
            return
        with self._errors():
            found = self.api.get("Deployment", names.object_name(spec.name))
            if found is None:
                found = self._make(spec, fence)
            self._check(found, spec.name, fence)
            if found["metadata"].get("deletionTimestamp"):
                return
            if _hash(found) != spec.spec_hash:
                self._end(found, fence)
            elif found["spec"].get("paused"):
                self._finish(spec, found, fence)
            else:
                self._renew(spec, found, fence)

    def delete(self, name: str, *, grace_seconds: float | None = None, fence: Fence = ALONE) -> None:
        self._forget(name)
        with self._errors():
            found = self.api.get("Deployment", names.object_name(name))
            if found is not None:
                self._check(found, name, fence)
                self._end(found, fence)
            if grace_seconds is not None:
                for pod in self.api.list("Pod", labels=f"{OURS},{names.REPLICA}={name}"):
                    self.api.delete("Pod", pod["metadata"]["name"], grace_seconds=max(1, int(grace_seconds)))

    def observe(self) -> list[ReplicaStatus]:
        if self._rest.error and self.clock() < self._rest.until:
            raise self._rest.error
        try:
            with self._errors():
                found = self._look()
        except BackendError as exc:
            self._pause(exc)
            raise
        self._rest = _Rest()
        self._remember(found)
        self._fetch_logs(found)
        return [replace(it.status, log_tail=self._logs.get(_log_key(it), "")) for it in found]

    def log(self, name: str, *, lines: int) -> str | None:
        """The last lines of the replica's engine, of the run before while this one has none; None without a pod."""
        with self._errors():
            pod = current(self.api.list("Pod", labels=f"{OURS},{names.REPLICA}={name}"))
            if pod is None:
                return None
            text = self.api.log(pod["metadata"]["name"], manifests.CONTAINER, lines=lines)
            if not text and container(pod).get("restartCount"):
                text = self.api.log(pod["metadata"]["name"], manifests.CONTAINER, lines=lines, previous=True)
            return text

    def events(self, name: str) -> list[ReplicaEvent]:
        """What the cluster tells about the replica's Deployment and pods, the newest first."""
        prefix = names.object_name(name)
        with self._errors():
            pods = self.api.list("Pod", labels=f"{OURS},{names.REPLICA}={name}")
            known = {prefix, *(pod["metadata"]["name"] for pod in pods)}
            found = [it for it in self.api.list("Event", most=MOST_EVENTS) if _about(it) in known]
        told = sorted(map(_event, found), key=lambda it: it.at, reverse=True)
        return told[:EVENTS_SHOWN]

    def _look(self) -> list[Seen]:
        deployments = self.api.list("Deployment", labels=OURS)
        pods = self.api.list("Pod", labels=OURS)
        events: list[Object] = []
        if any(is_waiting(pod) for pod in pods):
            events = self.api.list("Event", fields="type=Warning,involvedObject.kind=Pod", most=MOST_EVENTS)
        self._forget_logs(pods)
        return seen(deployments, pods, events)

    def _remember(self, looked: list[Seen]) -> None:
        """Those that somebody else has started are renewed at some time within the interval, not all at once."""
        running = {it.status.name: it.status.spec_hash for it in looked if it.status.phase is Phase.RUNNING}
        for name in running.keys() - self._renewed.keys():
            self._renewed[name] = self.clock() + RENEW_SECONDS * self.chance()
        self._runs = running

    def _forget(self, name: str) -> None:
        self._runs.pop(name, None)
        self._renewed.pop(name, None)

    def _make(self, spec: ReplicaSpec, fence: Fence) -> Object:
        """The Deployment alone and paused: there is no pod before all that it needs is there."""
        fence.check()
        return self.api.apply(_with_epoch(_paused(manifests.deployment(spec, self.place)), fence.epoch))

    def _finish(self, spec: ReplicaSpec, found: Object, fence: Fence) -> None:
        """Make what the pod needs, then let it start, unless somebody else has come between."""
        self._apply_dependents(spec, found, fence)
        ready = _with_epoch(manifests.deployment(spec, self.place), fence.epoch)
        self._unless_changed(found, fence, lambda exactly: self.api.apply(ready, exactly=exactly))
        self._renewed[spec.name] = self._next_renewal()

    def _renew(self, spec: ReplicaSpec, found: Object, fence: Fence) -> None:
        """Everything as it should be. Where nobody changed anything, this changes nothing either."""
        self._renewed[spec.name] = self.clock() + LONGEST_WAIT  # should it be refused
        self._apply_dependents(spec, found, fence)
        same = _with_epoch(manifests.deployment(spec, self.place), _epoch(found))
        self._unless_changed(found, fence, lambda exactly: self.api.apply(same, exactly=exactly))
        self._renewed[spec.name] = self._next_renewal()

    def _apply_dependents(self, spec: ReplicaSpec, found: Object, fence: Fence) -> None:
        own = Owner(found["metadata"]["name"], found["metadata"]["uid"])
        others = self.api.list("Deployment", labels=f"{OURS},{names.DEPLOYMENT}={spec.deployment}")
        owners = {own, *(Owner(it["metadata"]["name"], it["metadata"]["uid"]) for it in others if _stays(it))}
        shared = [
            manifests.service_account(spec, self.place), manifests.network_policy(spec, self.place),
            manifests.pod_disruption_budget(spec, self.place),
        ]  # fmt: skip
        single = [
            manifests.secret(spec, self.place, manifests.environment(spec)),
            manifests.service(spec, self.place),
        ]
        wanted = [*((it, owners) for it in shared), *((it, {own}) for it in single)]
        for manifest, belongs_to in wanted:
            fence.check()
            self.api.apply(manifests.owned(manifest, belongs_to))

    def _check(self, found: Object, replica: str, fence: Fence) -> None:
        """Raise unless it is this replica's Deployment and nobody of higher rank has written it."""
        labels = found["metadata"].get("labels") or {}
        if labels.get(names.MANAGED_BY) != names.MANAGER or labels.get(names.REPLICA) != replica:
            raise BackendError(
                f"There is a Deployment {found['metadata']['name']} that is not Signalbox's: give it another name.",
                reason=Obstacle.NAME_TAKEN, retry_after=30.0,
            )  # fmt: skip
        if _epoch(found) > fence.epoch and fence is not ALONE:
            raise BackendError(f"{replica} is looked after by somebody else by now.", reason=Obstacle.OUTRANKED)

    def _next_renewal(self) -> float:
        return self.clock() + RENEW_SECONDS * (1 - self.chance() / 5)

    def _pause(self, error: BackendError) -> None:
        failures = self._rest.failures + 1
        wait = min(LONGEST_WAIT, error.retry_after, 2.0 ** min(failures, 6)) * (1 - self.chance() / 5)
        self._rest = _Rest(failures, self.clock() + wait, error)

    def _end(self, found: Object, fence: Fence) -> None:
        name = found["metadata"]["name"]
        self._unless_changed(found, fence, lambda exactly: self.api.delete("Deployment", name, exactly=exactly))

    def _unless_changed(self, found: Object, fence: Fence, write: Callable[[Exactly], object]) -> None:
        """Write what follows from the Deployment as it was found. A new status of it is no change; all else is one."""
        for _ in range(TURNS):
            fence.check()
            try:
                write(Exactly.of(found))
                return
            except ApiError as exc:
                now = self.api.get("Deployment", found["metadata"]["name"])
                if exc.status != HTTPStatus.CONFLICT or now is None or _written(now) != _written(found):
                    raise
                found = now
        raise BackendError("It changes faster than it can be written.", reason=Obstacle.CONFLICT, retry_after=1.0)

    def _fetch_logs(self, looked: list[Seen]) -> None:
        """The last lines of containers that ended, once for each end; a log that cannot be had is none."""
        missing = [it for it in looked if it.pod and it.status.trouble in _ENDED and _log_key(it) not in self._logs]
        for one in missing[:MOST_LOGS]:
            try:
                self._logs[_log_key(one)] = self._log(one.pod or {})
            except (ApiError, BackendError):
                self._logs[_log_key(one)] = ""

    def _log(self, pod: Object) -> str:
        ended = "terminated" in (container(pod).get("state") or {})
        return self.api.log(pod["metadata"]["name"], manifests.CONTAINER, lines=LOG_LINES, previous=not ended)

    def _forget_logs(self, pods: list[Object]) -> None:
        known = {pod["metadata"]["uid"] for pod in pods}
        self._logs = {key: text for key, text in self._logs.items() if key.partition("/")[0] in known}

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except ApiError as exc:
            raise translated(exc, self.api.namespace) from exc


def _about(event: Object) -> str:
    return str((event.get("involvedObject") or {}).get("name", ""))


def _event(event: Object) -> ReplicaEvent:
    series = event.get("series") or {}
    at = series.get("lastObservedTime") or event.get("lastTimestamp") or event.get("eventTime")
    return ReplicaEvent(
        at=_time(at or event["metadata"].get("creationTimestamp")), type=str(event.get("type") or "Normal"),
        reason=str(event.get("reason") or ""), message=str(event.get("message") or ""),
        count=int(series.get("count") or event.get("count") or 1),
    )  # fmt: skip


def _time(text: object) -> datetime:
    try:
        return datetime.fromisoformat(str(text))
    except ValueError:
        return datetime.fromtimestamp(0, UTC)


def _log_key(looked: Seen) -> str:
    return f"{looked.pod['metadata']['uid']}/{looked.status.restarts}" if looked.pod else ""


def _written(deployment: Object) -> tuple[object, ...]:
    """What changes when somebody orders something, and does not when the cluster reports."""
    metadata = deployment["metadata"]
    return metadata["uid"], metadata.get("generation"), _epoch(deployment), metadata.get("deletionTimestamp")


def _hash(deployment: Object) -> str:
    return str((deployment["metadata"].get("annotations") or {}).get(names.SPEC_HASH, ""))


def _epoch(deployment: Object) -> int:
    told = str((deployment["metadata"].get("annotations") or {}).get(names.EPOCH, ""))
    return int(told) if told.isdecimal() else 0


def _stays(deployment: Object) -> bool:
    return not deployment["metadata"].get("deletionTimestamp")


def _paused(manifest: Manifest) -> Manifest:
    return manifest | {"spec": manifest["spec"] | {"paused": True}}


def _with_epoch(manifest: Manifest, epoch: int) -> Manifest:
    if not epoch:
        return manifest
    metadata = manifest["metadata"]
    return manifest | {"metadata": metadata | {"annotations": metadata["annotations"] | {names.EPOCH: str(epoch)}}}
