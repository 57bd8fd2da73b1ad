"""Why a pod does not serve, in plain words. Pure: what the cluster says goes in, a named trouble comes out."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from workers.backends.base import Trouble

Object = Mapping[str, Any]

CRASH_LOOP_AFTER = 3
LONGEST = 600

_IMAGE = {
    "ImagePullBackOff", "ErrImagePull", "InvalidImageName", "ErrImageNeverPull", "ImageInspectError",
    "RegistryUnavailable", "SignatureValidationFailed",
}  # fmt: skip
_CONFIG = {
    "CreateContainerConfigError", "CreateContainerError", "RunContainerError", "PreCreateHookError",
    "PreStartHookError", "PostStartHookError",
}  # fmt: skip
_VOLUME_EVENTS = {"FailedMount", "FailedAttachVolume", "FailedMapVolume"}


@dataclass(frozen=True)
class Found:
    trouble: Trouble
    message: str


def container(pod: Object) -> Object:
    """The status of the engine's container; empty before there is one."""
    statuses = (pod.get("status") or {}).get("containerStatuses") or [{}]
    found: Object = statuses[0]
    return found


def is_ready(pod: Object) -> bool:
    return any(it["type"] == "Ready" and it["status"] == "True" for it in _conditions(pod))


def trouble_of(pod: Object, warnings: Iterable[Object]) -> Found | None:
    """What keeps this pod from serving; None when nothing is known to. `warnings` are events about the pod."""
    return _of_pod(pod) or _of_waiting(pod, warnings) or _of_ended(pod)


def trouble_without_pod(deployment: Object) -> Found | None:
    """Why a Deployment has no pod: a quota, an admission rule."""
    for condition in _conditions(deployment):
        if condition["type"] == "ReplicaFailure" and condition["status"] == "True":
            return Found(Trouble.NO_POD, _cut(f"The cluster creates no pod: {condition.get('message', '')}"))
    return None


def _of_pod(pod: Object) -> Found | None:
    status = pod.get("status") or {}
    if status.get("reason") == "Evicted":
        return Found(Trouble.EVICTED, _cut(f"It was evicted from its node: {status.get('message', '')}"))
    if status.get("reason") == "NodeLost":
        return Found(Trouble.NODE_LOST, _cut(f"Its node does not answer any more: {status.get('message', '')}"))
    for condition in _conditions(pod):
        if condition["type"] == "PodScheduled" and condition["status"] == "False":
            return Found(Trouble.UNSCHEDULABLE, _cut(unschedulable(condition.get("message") or "")))
    return None


def unschedulable(message: str) -> str:
    """The scheduler's account of why no node takes the pod: which resource, which taint."""
    told = message.partition("preemption:")[0]
    missing = [
        f"{what} is used up on {_nodes(count)}" for count, what in re.findall(r"(\d+) Insufficient ([\w./-]+\w)", told)
    ]
    others = [
        f"{_nodes(count)} {what.strip()}"
        for count, what in re.findall(r"(\d+) node\(s\) ([^,.{]*(?:\{[^}]*\})?)", told)
    ]
    if not missing and not others:
        return f"No node can take it: {told.strip()}"
    return f"No node can take it: {'; '.join([*missing, *others])}."


def _nodes(count: str) -> str:
    return "1 node" if count == "1" else f"{count} nodes"


def _of_waiting(pod: Object, warnings: Iterable[Object]) -> Found | None:
    waiting = (container(pod).get("state") or {}).get("waiting") or {}
    reason, message = waiting.get("reason", ""), waiting.get("message", "")
    if reason in _IMAGE:
        return Found(
            Trouble.IMAGE, _cut(f"The image {container(pod).get('image', '')} cannot be pulled: {message or reason}")
        )
    if reason in _CONFIG:
        return Found(Trouble.CONFIG, _cut(f"The container cannot be started: {message or reason}"))
    if reason == "CrashLoopBackOff":
        return _crash_loop(pod)
    if is_ready(pod) or (container(pod) and reason != "ContainerCreating"):
        return None
    for event in warnings:
        if event.get("reason") in _VOLUME_EVENTS:
            return Found(Trouble.VOLUME, _cut(f"A volume cannot be mounted: {event.get('message', '')}"))
    return None


def _of_ended(pod: Object) -> Found | None:
    """Ended and not ready again yet."""
    if is_ready(pod):
        return None
    found = container(pod)
    state, last = found.get("state") or {}, found.get("lastState") or {}
    ended = state.get("terminated") or last.get("terminated")
    if not ended:
        return None
    if found.get("restartCount", 0) >= CRASH_LOOP_AFTER:
        return _crash_loop(pod)
    trouble = Trouble.OUT_OF_MEMORY if ended.get("reason") == "OOMKilled" else Trouble.FAILED
    if state.get("running"):
        return None if trouble is Trouble.FAILED else Found(trouble, f"{how_it_ended(ended)}; it is loading again")
    return Found(trouble, how_it_ended(ended))


def _crash_loop(pod: Object) -> Found:
    found = container(pod)
    state, last = found.get("state") or {}, found.get("lastState") or {}
    ended = state.get("terminated") or last.get("terminated") or {}
    count = found.get("restartCount", 0)
    trouble = Trouble.OUT_OF_MEMORY if ended.get("reason") == "OOMKilled" else Trouble.CRASH_LOOP
    return Found(trouble, _cut(f"{how_it_ended(ended)}; started {count + 1} times so far"))


def how_it_ended(ended: Object) -> str:
    if ended.get("reason") == "OOMKilled":
        return "killed for lack of memory: it took more than its limit"
    code = ended.get("exitCode")
    words = (ended.get("message") or "").strip().splitlines()
    how = "it ended" if code is None else f"ended with exit code {code}"
    return f"{how}: {words[-1][:300]}" if words else how


def _conditions(thing: Object) -> list[Object]:
    found: list[Object] = (thing.get("status") or {}).get("conditions") or []
    return found


def _cut(text: str) -> str:
    return text[:LONGEST]
