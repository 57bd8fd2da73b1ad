"""The Role that is shipped: each right that is used stands in it, and none that is not."""

from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

from tests.workers.backends.kubernetes.cluster import Cluster, waiting
from tests.workers.backends.kubernetes.pods import pod_spec
from workers.backends.base import BackendError, Obstacle
from workers.backends.kubernetes.backend import KubernetesBackend

FILE = Path(__file__).parents[4] / "deploy" / "kubernetes" / "rbac.yaml"

Right = tuple[str, str, str]


def _documents() -> list[dict[str, Any]]:
    return list(yaml.safe_load_all(FILE.read_text()))


def _granted() -> set[Right]:
    (role,) = [it for it in _documents() if it["kind"] == "Role"]
    return {
        (verb, group, resource)
        for rule in role["rules"]
        for verb in rule["verbs"]
        for group in rule["apiGroups"]
        for resource in rule["resources"]
    }


def _use_everything(backend: KubernetesBackend, cluster: Cluster) -> None:
    """Whatever the backend ever asks for."""
    backend.apply(pod_spec())
    cluster.set_pod("web-0", **waiting("ContainerCreating"))
    backend.observe()
    ended = {"exitCode": 1}
    cluster.set_pod("web-0", **waiting("CrashLoopBackOff", restarts=3, last=ended))
    backend.observe()
    KubernetesBackend(backend.api, backend.place).apply(pod_spec())
    backend.log("web-0", lines=10)
    backend.events("web-0")
    cluster.slow_to_stop = True
    backend.delete("web-0", grace_seconds=3.0)


def test_role_suffices(backend: KubernetesBackend, cluster: Cluster) -> None:
    cluster.allowed = _granted()
    _use_everything(backend, cluster)
    assert cluster.of("deployments") == []


def test_no_right_is_unused(backend: KubernetesBackend, cluster: Cluster) -> None:
    _use_everything(backend, cluster)
    assert cluster.used == _granted()


def test_secrets_cannot_be_read() -> None:
    assert {verb for verb, _, resource in _granted() if resource == "secrets"} == {"create", "patch"}


def test_file_is_valid() -> None:
    for document in _documents():
        kubernetes_validate.validate(document, "1.36", strict=True)


@pytest.mark.parametrize("right", sorted(_granted() - {("get", "", "pods/log")}))
def test_missing_right_is_said(right: Right, backend: KubernetesBackend, cluster: Cluster) -> None:
    cluster.allowed = _granted() - {right}
    with pytest.raises(BackendError, match=right[2]) as caught:
        _use_everything(backend, cluster)
    assert caught.value.reason is Obstacle.FORBIDDEN


def test_log_that_may_not_be_read_stops_nothing(backend: KubernetesBackend, cluster: Cluster) -> None:
    cluster.allowed = _granted() - {("get", "", "pods/log")}
    backend.apply(pod_spec())
    cluster.set_pod("web-0", **waiting("CrashLoopBackOff", restarts=3, last={"exitCode": 1}))
    (status,) = backend.observe()
    assert (status.trouble, status.log_tail) == ("crash_loop", "")
