"""From the Deployments and pods of a namespace to the statuses of replicas. Pure."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from workers.backends.base import Phase, ReplicaStatus
from workers.backends.kubernetes import names
from workers.backends.kubernetes.conditions import container, is_ready, trouble_of, trouble_without_pod
from workers.backends.kubernetes.manifests import PORT

Object = dict[str, Any]

_OVER = ("Succeeded", "Failed")


@dataclass(frozen=True)
class Seen:
    """A status and the pod that it tells of."""

    status: ReplicaStatus
    pod: Object | None


def seen(deployments: Iterable[Object], pods: Iterable[Object], events: Iterable[Object]) -> list[Seen]:
    """One for each replica of which anything is left. `events` are warnings about pods."""
    made = {name: it for it in deployments if (name := _labels(it).get(names.REPLICA))}
    by_replica, warnings = defaultdict[str, list[Object]](list), defaultdict[str, list[Object]](list)
    for pod in pods:
        if name := _labels(pod).get(names.REPLICA):
            by_replica[name].append(pod)
    for event in events:
        warnings[(event.get("involvedObject") or {}).get("uid", "")].append(event)
    for name in [name for name in by_replica if name not in made]:
        if not any(map(_is_alive, by_replica[name])):
            del by_replica[name]
    return [_seen(name, made.get(name), by_replica.get(name, []), warnings) for name in sorted({*made, *by_replica})]


def current(pods: Iterable[Object]) -> Object | None:
    """The pod that matters: one that is ready, else the newest that shall go on."""
    staying = [pod for pod in pods if not pod["metadata"].get("deletionTimestamp")]
    return max(staying, key=lambda pod: (is_ready(pod), _is_alive(pod), _made_at(pod)), default=None)


def is_waiting(pod: Object) -> bool:
    """It has a node but no container yet: only events tell why."""
    waiting = (container(pod).get("state") or {}).get("waiting") or {}
    return _is_alive(pod) and waiting.get("reason") == "ContainerCreating"


def address(pod: Object) -> str:
    """The engine's URL; empty before the pod has an address."""
    ip = (pod.get("status") or {}).get("podIP") or ""
    if not ip:
        return ""
    return f"http://[{ip}]:{PORT}" if ":" in ip else f"http://{ip}:{PORT}"


def _seen(name: str, deployment: Object | None, pods: list[Object], warnings: Mapping[str, list[Object]]) -> Seen:
    if deployment is None or deployment["metadata"].get("deletionTimestamp"):
        of = deployment or pods[0]
        status = ReplicaStatus(name, _labels(of)[names.DEPLOYMENT], Phase.STOPPING, _hash(of), stop_ordered=True)
        return Seen(status, None)
    base = ReplicaStatus(name, _labels(deployment)[names.DEPLOYMENT], Phase.RUNNING, _hash(deployment))
    if deployment["spec"].get("paused"):  # its making was interrupted: there is no pod, and `apply` goes on with it
        return Seen(replace(base, phase=Phase.EXITED, stop_ordered=True), None)
    pod = current(pods)
    if pod is None:
        found = trouble_without_pod(deployment)
        return Seen(replace(base, trouble=found.trouble, message=found.message) if found else base, None)
    found = trouble_of(pod, warnings.get(pod["metadata"].get("uid", ""), []))
    return Seen(
        replace(
            base, url=address(pod), started_at=_started_at(pod), restarts=container(pod).get("restartCount", 0),
            trouble=found.trouble if found else None, message=found.message if found else "",
        ),
        pod,
    )  # fmt: skip


def _labels(thing: Object) -> Mapping[str, str]:
    return thing["metadata"].get("labels") or {}


def _hash(thing: Object) -> str:
    return str((thing["metadata"].get("annotations") or {}).get(names.SPEC_HASH, ""))


def _is_alive(pod: Object) -> bool:
    return (pod.get("status") or {}).get("phase") not in _OVER


def _made_at(pod: Object) -> str:
    return str(pod["metadata"].get("creationTimestamp", ""))


def _started_at(pod: Object) -> float | None:
    running = (container(pod).get("state") or {}).get("running") or {}
    try:
        return datetime.fromisoformat(running["startedAt"]).timestamp()
    except (KeyError, ValueError, TypeError):
        return None
