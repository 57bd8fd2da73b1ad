"""The few requests that are made of a cluster, with the official client, on plain JSON.

The client's typed objects are passed by: decoding some hundred pods into them takes longer than a whole pass may.

Raises `ApiError` for what the server refuses and `BackendError` when it cannot be asked at all.
"""

import json
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

import urllib3
from kubernetes.client import ApiClient
from kubernetes.client.exceptions import ApiException

from workers.backends.base import BackendError, Obstacle
from workers.backends.kubernetes.errors import ApiError, translated
from workers.backends.kubernetes.names import MANAGER

Object = dict[str, Any]
Objects = list[Object]

CONNECT_SECONDS, READ_SECONDS = 3.0, 8.0
PAGE = 500
JSON = "application/json"
TURNS = 3
"""of a list whose continuation has expired"""
PATHS = {
    "Deployment": "/apis/apps/v1/namespaces/{namespace}/deployments",
    "Event": "/api/v1/namespaces/{namespace}/events",
    "NetworkPolicy": "/apis/networking.k8s.io/v1/namespaces/{namespace}/networkpolicies",
    "Pod": "/api/v1/namespaces/{namespace}/pods",
    "PodDisruptionBudget": "/apis/policy/v1/namespaces/{namespace}/poddisruptionbudgets",
    "Secret": "/api/v1/namespaces/{namespace}/secrets",
    "Service": "/api/v1/namespaces/{namespace}/services",
    "ServiceAccount": "/api/v1/namespaces/{namespace}/serviceaccounts",
}


@dataclass(frozen=True)
class Exactly:
    """The object as it was seen: a write that names it fails once it is another one or was changed."""

    uid: str
    version: str

    @classmethod
    def of(cls, found: Object) -> "Exactly":
        return cls(found["metadata"]["uid"], found["metadata"]["resourceVersion"])


class Api:
    """One namespace of a cluster. `connect` makes the client, anew after its credentials were refused."""

    def __init__(self, connect: Callable[[], ApiClient], namespace: str) -> None:
        self._connect, self.namespace = connect, namespace
        self._client: ApiClient | None = None
        self._lock = threading.Lock()

    def list(self, kind: str, *, labels: str = "", fields: str = "", most: int | None = None) -> Objects:
        """All objects with these labels, at most `most`. A list that expires between two pages (410) begins anew."""
        for _ in range(TURNS):
            try:
                return self._pages(kind, {"labelSelector": labels, "fieldSelector": fields}, most)
            except ApiError as exc:
                if exc.status != HTTPStatus.GONE:
                    raise
        raise BackendError("The cluster's lists expire before they are read.", retry_after=5.0)

    def get(self, kind: str, name: str) -> Object | None:
        try:
            return self._ask("GET", self._path(kind, name))
        except ApiError as exc:
            if exc.status == HTTPStatus.NOT_FOUND:
                return None
            raise

    def apply(self, manifest: Object, *, exactly: Exactly | None = None) -> Object:
        """Server-side apply. With `exactly` nothing is made that is not there, and nothing changed that was changed."""
        metadata = manifest["metadata"]
        if exactly:
            metadata = metadata | {"uid": exactly.uid, "resourceVersion": exactly.version}
        return self._ask(
            "PATCH", self._path(manifest["kind"], metadata["name"]), body=manifest | {"metadata": metadata},
            query={"fieldManager": MANAGER, "force": "true"}, content_type="application/apply-patch+yaml",
        )  # fmt: skip

    def delete(self, kind: str, name: str, *, exactly: Exactly | None = None, grace_seconds: int | None = None) -> None:
        """Order its end. What is not there is fine."""
        options: Object = {"apiVersion": "v1", "kind": "DeleteOptions", "propagationPolicy": "Background"}
        if exactly:
            options["preconditions"] = {"uid": exactly.uid, "resourceVersion": exactly.version}
        if grace_seconds is not None:
            options["gracePeriodSeconds"] = grace_seconds
        try:
            self._ask("DELETE", self._path(kind, name), body=options)
        except ApiError as exc:
            if exc.status != HTTPStatus.NOT_FOUND:
                raise

    def log(self, pod: str, container: str, *, lines: int, previous: bool = False) -> str:
        """The last lines of a container; of the one before it if `previous`. Empty while there are none."""
        query = {"container": container, "tailLines": str(lines), "limitBytes": "65536"}
        try:
            raw = self._raw("GET", self._path("Pod", pod) + "/log", query | ({"previous": "true"} if previous else {}))
        except ApiError as exc:
            if exc.status in {HTTPStatus.NOT_FOUND, HTTPStatus.BAD_REQUEST}:  # gone, or not started yet
                return ""
            raise
        return raw.decode("utf-8", "replace")

    def _pages(self, kind: str, query: dict[str, str], most: int | None) -> Objects:
        found: Objects = []
        onwards = ""
        while True:
            limit = str(PAGE if most is None else min(PAGE, most - len(found)))
            page = self._ask("GET", self._path(kind), query=query | {"limit": limit, "continue": onwards})
            found += page.get("items") or []
            onwards = (page.get("metadata") or {}).get("continue") or ""
            if not onwards or (most is not None and len(found) >= most):
                return found

    def _path(self, kind: str, name: str = "") -> str:
        base = PATHS[kind].format(namespace=self.namespace)
        return f"{base}/{name}" if name else base

    def _ask(self, method: str, path: str, **request: Any) -> Object:
        raw = self._raw(method, path, **request)
        try:
            answer = json.loads(raw)
        except ValueError as exc:
            raise BackendError("What answers is no Kubernetes API: its answer is no JSON.", retry_after=15.0) from exc
        if not isinstance(answer, dict):
            raise BackendError("What answers is no Kubernetes API: its answer is no object.", retry_after=15.0)
        return answer

    def _raw(
        self,
        method: str,
        path: str,
        query: Mapping[str, str] | None = None,
        *,
        body: Object | None = None,
        content_type: str = JSON,
    ) -> bytes:
        client = self._connected()
        headers = {"Accept": "application/json, */*", "Content-Type": content_type}
        given = [(name, value) for name, value in (query or {}).items() if value]
        try:
            request = client.param_serialize(
                method, path, query_params=given, header_params=headers, auth_settings=["BearerToken"],
                body=json.dumps(body) if body and content_type != JSON else body,  # the client writes plain JSON only
            )  # fmt: skip
            answer = client.call_api(*request, _request_timeout=(CONNECT_SECONDS, READ_SECONDS))
            raw: bytes = answer.read()
        except (urllib3.exceptions.HTTPError, ApiException, OSError) as exc:
            raise _unreachable(exc) from exc
        if answer.status >= HTTPStatus.BAD_REQUEST:
            self._refused(answer.status, raw, answer.headers)
        return raw

    def _connected(self) -> ApiClient:
        with self._lock:
            if self._client is None:
                self._client = self._connect()
            return self._client

    def _refused(self, status: int, raw: bytes, headers: Mapping[str, str]) -> None:
        """Raises. Refused credentials are read anew the next time: somebody may have renewed them."""
        error = _error(status, raw, headers)
        if status == HTTPStatus.UNAUTHORIZED:
            with self._lock:
                self._client = None
        if status in {HTTPStatus.NOT_FOUND, HTTPStatus.CONFLICT, HTTPStatus.GONE, HTTPStatus.BAD_REQUEST}:
            raise error
        raise translated(error, self.namespace) from error


def _error(status: int, raw: bytes, headers: Mapping[str, str]) -> ApiError:
    try:
        told = json.loads(raw)
        details = told.get("details") or {}
        reason, message, kind = str(told.get("reason", "")), str(told.get("message", "")), str(details.get("kind", ""))
    except (ValueError, AttributeError):
        reason, message, kind = "", raw[:200].decode("utf-8", "replace"), ""
    try:
        retry_after = float(headers.get("Retry-After", ""))
    except ValueError:
        retry_after = None
    return ApiError(status, reason=reason, message=message, kind=kind, retry_after=retry_after)


def _unreachable(exc: Exception) -> BackendError:
    words = str(exc).strip().splitlines() or [type(exc).__name__]
    tls = "certificate" in str(exc).lower() or isinstance(exc, urllib3.exceptions.SSLError)
    if tls:
        return BackendError(
            f"The cluster's TLS does not fit the kubeconfig: {words[0][:300]}", reason=Obstacle.CREDENTIALS,
            retry_after=15.0,
        )  # fmt: skip
    return BackendError(f"The cluster does not answer: {words[0][:300]}", retry_after=5.0)
