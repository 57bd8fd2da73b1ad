"""A small Kubernetes over real HTTP, on kmock: what this project relies on behaves as in an API server.

Server-side apply of one manager, versions and uids as preconditions, generations, labels, pages of lists, the garbage
collector, and a controller that gives each Deployment its pod. `refuse` answers in its place when it wants to.
"""

import asyncio
import copy
import itertools
import json
import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import aiohttp.web
import kmock
from kubernetes.client import ApiClient, Configuration

Object = dict[str, Any]
Answer = aiohttp.web.Response
Refusal = Callable[[Any], "Answer | float | None"]

logging.getLogger("aiohttp.access").setLevel(logging.WARNING)

NAMESPACE = "engines"
READY = [{"type": "Ready", "status": "True"}]


def failure(
    status: int, reason: str, message: str = "", *, headers: dict[str, str] | None = None, kind: str = ""
) -> Answer:
    body = {
        "kind": "Status", "apiVersion": "v1", "status": "Failure", "code": status, "reason": reason, "message": message,
        "details": {"kind": kind},
    }  # fmt: skip
    return aiohttp.web.json_response(body, status=status, headers=headers)


class Cluster(kmock.RawHandler):
    """One namespace. Call its methods from tests only between requests."""

    def __init__(self) -> None:
        super().__init__()
        self.objects: dict[tuple[str, str], Object] = {}
        self.namespace_exists = True
        self.slow_to_stop = False
        self.starts_pods = True
        self.refuse: Refusal = lambda request: None
        self.allowed: set[tuple[str, str, str]] | None = None
        """(verb, group, resource); None: everything"""
        self.used: set[tuple[str, str, str]] = set()
        self.writes: list[str] = []
        self.changes: list[tuple[str, str]] = []
        """(user agent, what) of each request that changed anything"""
        self.logs: dict[str, str] = {}
        self.url_text = ""
        self._applied: dict[tuple[str, str], Object] = {}
        self._numbers = itertools.count(1)
        self._guard = threading.RLock()

    # What tests do

    def of(self, kind: str) -> list[Object]:
        """All objects of a plural such as ``pods``."""
        with self._guard:
            return [it for (plural, _), it in sorted(self.objects.items()) if plural == kind]

    def pod_of(self, replica: str) -> Object:
        return next(it for it in self.of("pods") if it["metadata"]["labels"]["signalbox.dev/replica"] == replica)

    def set_pod(self, replica: str, **status: Any) -> None:
        """Its kubelet or the scheduler reports."""
        pod = self.pod_of(replica)
        pod["status"] = status
        self._touch(pod)

    def touch(self, plural: str, name: str) -> None:
        """A controller reports: another version of the same object."""
        self._touch(self.objects[plural, name])

    def add(self, plural: str, name: str, **fields: Any) -> Object:
        made = {"metadata": {"name": name, "namespace": NAMESPACE} | fields.pop("metadata", {})} | fields
        self._store(plural, made)
        return made

    def finish_stopping(self) -> None:
        """The kubelets have ended what was to end."""
        with self._guard:
            for pod in self.of("pods"):
                if pod["metadata"].get("deletionTimestamp"):
                    del self.objects["pods", pod["metadata"]["name"]]

    def client(self) -> ApiClient:
        configuration = Configuration()
        configuration.host, configuration.retries = self.url_text, False
        return ApiClient(configuration)

    # What the server does

    async def _handle(self, request: Any) -> Answer:
        plan = self.refuse(request)
        if isinstance(plan, int | float):
            await asyncio.sleep(plan)
        elif plan is not None:
            return plan
        with self._guard:
            before = self._state()
            answer = self._serve(request)
            if request.method.value != "GET" and self._state() != before:
                self.changes.append((request.headers.get("User-Agent", ""), self.writes[-1]))
            return answer

    def _state(self) -> set[tuple[str, str, str]]:
        return {(*key, it["metadata"]["resourceVersion"]) for key, it in self.objects.items()}

    def _serve(self, request: Any) -> Answer:
        if request.resource is None or request.namespace != NAMESPACE:
            return failure(404, "NotFound", "no such path")
        plural, method = request.resource.plural, request.method.value.lower()
        if denied := self._denied(request, plural, method):
            return denied
        if request.subresource == "log":
            return aiohttp.web.Response(text=self.logs.get(request.name, ""))
        key = (plural, request.name)
        if method == "get":
            return self._get(key) if request.name else self._list(plural, request.params)
        self.writes.append(f"{method} {plural}/{request.name}")
        if method == "delete":
            return self._delete(key, request.data or {})
        if not self.namespace_exists:
            return failure(404, "NotFound", f'namespaces "{NAMESPACE}" not found', kind="namespaces")
        return self._apply(key, request)

    def _denied(self, request: Any, plural: str, method: str) -> Answer | None:
        resource = f"{plural}/{request.subresource}" if request.subresource else plural
        verb = ("get" if request.name else "list") if method == "get" else method
        needed = {(verb, request.resource.group, resource)}
        if verb == "patch" and (plural, request.name) not in self.objects:
            needed.add(("create", request.resource.group, resource))
        self.used |= needed
        if self.allowed is not None and (missing := needed - self.allowed):
            return failure(403, "Forbidden", f"signalbox cannot {min(missing)}")
        return None

    def _get(self, key: tuple[str, str]) -> Answer:
        found = self.objects.get(key)
        return aiohttp.web.json_response(found) if found else failure(404, "NotFound", f"{key[0]} {key[1]} not found")

    def _list(self, plural: str, params: dict[str, str]) -> Answer:
        wanted = dict(part.partition("=")[::2] for part in params.get("labelSelector", "").split(",") if part)
        found = [
            it for it in self.of(plural) if wanted.items() <= (it["metadata"].get("labels") or {}).items()
        ]  # fmt: skip
        start, limit = int(params.get("continue") or 0), int(params.get("limit") or len(found) or 1)
        more = str(start + limit) if start + limit < len(found) else ""
        metadata = {"resourceVersion": "1"} | ({"continue": more} if more else {})
        return aiohttp.web.json_response({"metadata": metadata, "items": found[start : start + limit]})

    def _delete(self, key: tuple[str, str], options: Object) -> Answer:
        found = self.objects.get(key)
        if found is None:
            return failure(404, "NotFound", f"{key[0]} {key[1]} not found")
        for name, value in (options.get("preconditions") or {}).items():
            if found["metadata"][name] != value:
                return failure(409, "Conflict", f"the {name} in the precondition is another one")
        if key[0] == "pods" and self.slow_to_stop and options.get("gracePeriodSeconds") is None:
            found["metadata"]["deletionTimestamp"] = "2026-11-22T00:00:00Z"
        else:
            del self.objects[key]
        self._collect_garbage()
        return aiohttp.web.json_response({"kind": "Status", "status": "Success"})

    def _apply(self, key: tuple[str, str], request: Any) -> Answer:
        body: Object = request.data
        kind = request.headers.get("Content-Type", "")
        if kind != "application/apply-patch+yaml" or not request.params.get("fieldManager"):
            return failure(415, "UnsupportedMediaType", "only server-side apply is known here")
        found, metadata = self.objects.get(key), body["metadata"]
        if found is None:
            if metadata.get("uid"):
                return failure(409, "Conflict", "uid mismatch: no existing object was found")
            made = copy.deepcopy(body)
            self._applied[key] = copy.deepcopy(body)
            self._store(key[0], made)
        else:
            for name in ("uid", "resourceVersion"):
                if metadata.get(name, found["metadata"][name]) != found["metadata"][name]:
                    return failure(409, "Conflict", "the object has been modified")
            self._change(key, found, body)
        self._control()
        return aiohttp.web.json_response(self.objects[key])

    def _change(self, key: tuple[str, str], found: Object, body: Object) -> None:
        body = copy.deepcopy(body)
        for name in ("uid", "resourceVersion"):
            body["metadata"].pop(name, None)
        merged = _merged(_without(copy.deepcopy(found), self._applied.get(key, {}), body), body)
        self._applied[key] = body
        if merged == found:
            return
        if merged.get("spec") != found.get("spec"):
            merged["metadata"]["generation"] += 1
        self._touch(merged)
        self.objects[key] = merged

    def _store(self, plural: str, made: Object) -> None:
        number = next(self._numbers)
        made["metadata"] |= {
            "uid": f"uid-{number}", "creationTimestamp": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(number)),
            "generation": 1,
        }  # fmt: skip
        self._touch(made)
        self.objects[plural, made["metadata"]["name"]] = made

    def _touch(self, thing: Object) -> None:
        thing["metadata"]["resourceVersion"] = str(next(self._numbers))

    def _control(self) -> None:
        """The controller of Deployments and, with it, scheduler and kubelet."""
        if not self.starts_pods:
            return
        served = {it["metadata"]["labels"]["signalbox.dev/replica"] for it in self.of("pods")}
        for made in self.of("deployments"):
            replica = made["metadata"].get("labels", {}).get("signalbox.dev/replica")
            if made["spec"].get("paused") or replica is None or replica in served:
                continue
            number = next(self._numbers)
            owner = {"apiVersion": "apps/v1", "kind": "Deployment", "uid": made["metadata"]["uid"]}
            self._store("pods", {
                "metadata": {
                    "name": f"{made['metadata']['name']}-{number}", "namespace": NAMESPACE, "ownerReferences": [owner],
                    "labels": made["spec"]["template"]["metadata"]["labels"],
                },
                "spec": made["spec"]["template"]["spec"],
                "status": running(f"127.1.{number // 250 % 250}.{number % 250 + 1}"),
            })  # fmt: skip

    def _collect_garbage(self) -> None:
        while True:
            alive = {it["metadata"]["uid"] for it in self.objects.values()}
            orphans = []
            for key, it in self.objects.items():
                owners = it["metadata"].get("ownerReferences")
                if owners and not it["metadata"].get("deletionTimestamp"):
                    it["metadata"]["ownerReferences"] = [one for one in owners if one["uid"] in alive]
                    if not it["metadata"]["ownerReferences"]:
                        orphans.append(key)
            for key in orphans:
                if key[0] == "pods" and self.slow_to_stop:
                    self.objects[key]["metadata"]["deletionTimestamp"] = "2026-11-22T00:00:00Z"
                else:
                    del self.objects[key]
            if not orphans:
                return


def running(address: str, *, restarts: int = 0, started: str = "2026-11-22T10:00:00Z", ready: bool = True) -> Object:
    """The status of a pod whose engine runs."""
    return {
        "phase": "Running", "podIP": address, "conditions": READY if ready else [],
        "containerStatuses": [
            {"name": "vllm", "restartCount": restarts, "state": {"running": {"startedAt": started}}, "ready": ready}
        ],
    }  # fmt: skip


def waiting(reason: str, message: str = "", *, restarts: int = 0, last: Object | None = None) -> Object:
    """The status of a pod whose container waits."""
    status: Object = {
        "name": "vllm", "image": "some/image:tag", "restartCount": restarts,
        "state": {"waiting": {"reason": reason, "message": message}},
    }  # fmt: skip
    if last:
        status["lastState"] = {"terminated": last}
    return {"phase": "Pending", "containerStatuses": [status]}


def _merged(old: Any, new: Any) -> Any:
    if isinstance(old, dict) and isinstance(new, dict):
        return old | {name: _merged(old.get(name), value) for name, value in new.items()}
    return new


def _without(found: Any, before: Any, now: Any) -> Any:
    """Without what was applied before and is not any more."""
    if not (isinstance(found, dict) and isinstance(before, dict) and isinstance(now, dict)):
        return found
    for name in before:
        if name in found and name not in now:
            del found[name]
        elif name in found:
            found[name] = _without(found[name], before[name], now.get(name))
    return found


@contextmanager
def running_cluster() -> Iterator[Cluster]:
    """A cluster that serves in a thread of its own."""
    ready = threading.Event()
    clusters: list[Cluster] = []
    ends: list[Callable[[], object]] = []

    async def serve() -> None:
        async with Cluster() as cluster, kmock.Server(cluster) as server:
            cluster.url_text = str(server.url).rstrip("/")
            clusters.append(cluster)
            loop, end = asyncio.get_running_loop(), asyncio.Event()
            ends.append(lambda: loop.call_soon_threadsafe(end.set))
            ready.set()
            await end.wait()

    thread = threading.Thread(target=lambda: asyncio.run(serve()), daemon=True)
    thread.start()
    assert ready.wait(10)
    try:
        yield clusters[0]
    finally:
        ends[0]()
        thread.join(10)


def as_json(thing: object) -> str:
    return json.dumps(thing, sort_keys=True)
