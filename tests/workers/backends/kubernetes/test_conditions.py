"""Why a pod does not serve: named, and in words that need no knowledge of Kubernetes."""

from typing import Any

import pytest

from tests.workers.backends.kubernetes.cluster import Cluster, running, waiting
from tests.workers.backends.kubernetes.pods import pod_spec
from workers.backends.base import ReplicaStatus, Trouble
from workers.backends.kubernetes.backend import KubernetesBackend
from workers.backends.kubernetes.conditions import trouble_of, trouble_without_pod, unschedulable

OOM = {"reason": "OOMKilled", "exitCode": 137}
FAILED = {"reason": "Error", "exitCode": 1}


def _pod(status: dict[str, Any]) -> dict[str, Any]:
    return {"metadata": {"uid": "u"}, "status": status}


def _unscheduled(message: str) -> dict[str, Any]:
    condition = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": message}
    return {"phase": "Pending", "conditions": [condition]}


@pytest.mark.parametrize(
    ("message", "words"),
    [
        (
            "0/3 nodes are available: 3 Insufficient nvidia.com/gpu. preemption: 0/3 nodes are available.",
            "No node can take it: nvidia.com/gpu is used up on 3 nodes.",
        ),
        (
            "0/5 nodes are available: 1 node(s) had untolerated taint {gpu: true}, 4 Insufficient memory.",
            "No node can take it: memory is used up on 4 nodes; 1 node had untolerated taint {gpu: true}.",
        ),
        (
            "0/2 nodes are available: 2 node(s) didn't match Pod's node affinity/selector.",
            "No node can take it: 2 nodes didn't match Pod's node affinity/selector.",
        ),
        ('persistentvolumeclaim "models" not found', 'No node can take it: persistentvolumeclaim "models" not found'),
        ("", "No node can take it: "),
    ],
)
def test_scheduler_is_understood(message: str, words: str) -> None:
    assert unschedulable(message) == words


@pytest.mark.parametrize(
    ("status", "trouble", "words"),
    [
        (waiting("ImagePullBackOff", "Back-off pulling image"), Trouble.IMAGE, "some/image:tag"),
        (waiting("ErrImagePull", "manifest unknown"), Trouble.IMAGE, "manifest unknown"),
        (waiting("InvalidImageName"), Trouble.IMAGE, "InvalidImageName"),
        (waiting("CreateContainerConfigError", 'secret "x" not found'), Trouble.CONFIG, "not found"),
        (waiting("CrashLoopBackOff", restarts=4, last=FAILED), Trouble.CRASH_LOOP, "exit code 1; started 5 times"),
        (waiting("CrashLoopBackOff", restarts=1, last=OOM), Trouble.OUT_OF_MEMORY, "lack of memory"),
        (_unscheduled("0/1 nodes are available: 1 Insufficient cpu."), Trouble.UNSCHEDULABLE, "cpu"),
        ({"phase": "Failed", "reason": "Evicted", "message": "low on resource: memory"}, Trouble.EVICTED, "memory"),
        ({"phase": "Running", "reason": "NodeLost"}, Trouble.NODE_LOST, "node"),
    ],
)
def test_trouble_is_named(status: dict[str, Any], trouble: Trouble, words: str) -> None:
    found = trouble_of(_pod(status), [])
    assert found is not None
    assert found.trouble is trouble
    assert words in found.message


@pytest.mark.parametrize(
    "status", [{}, {"phase": "Pending"}, waiting("ContainerCreating"), waiting("PodInitializing"), running("10.0.0.1")]
)
def test_what_takes_its_time_is_no_trouble(status: dict[str, Any]) -> None:
    assert trouble_of(_pod(status), []) is None


def test_oom_kill_is_told_while_it_loads_again_and_not_after() -> None:
    status = running("10.0.0.1", restarts=1, ready=False)
    status["containerStatuses"][0]["lastState"] = {"terminated": OOM}
    found = trouble_of(_pod(status), [])
    assert found is not None
    assert found.trouble is Trouble.OUT_OF_MEMORY
    assert trouble_of(_pod(status | running("10.0.0.1", restarts=1)), []) is None


def test_volume_is_told_from_events() -> None:
    event = {"reason": "FailedMount", "message": "mount failed: exit status 32"}
    found = trouble_of(_pod(waiting("ContainerCreating")), [event])
    assert found is not None
    assert (found.trouble, "exit status 32" in found.message) == (Trouble.VOLUME, True)


def test_quota_is_told_without_any_pod() -> None:
    message = 'pods "x" is forbidden: exceeded quota: gpus'
    condition = {"type": "ReplicaFailure", "status": "True", "reason": "FailedCreate", "message": message}
    found = trouble_without_pod({"status": {"conditions": [condition]}})
    assert found is not None
    assert (found.trouble, "exceeded quota" in found.message) == (Trouble.NO_POD, True)
    assert trouble_without_pod({"status": {}}) is None


def _observed(backend: KubernetesBackend) -> ReplicaStatus:
    (found,) = backend.observe()
    return found


def test_crash_loop_comes_with_its_last_lines(backend: KubernetesBackend, cluster: Cluster) -> None:
    backend.apply(pod_spec())
    cluster.set_pod("web-0", **waiting("CrashLoopBackOff", restarts=3, last=FAILED))
    cluster.logs[cluster.pod_of("web-0")["metadata"]["name"]] = "loading\nValueError: no such quantization\n"
    assert "no such quantization" in _observed(backend).log_tail
    cluster.used.clear()
    backend.observe()
    assert ("get", "", "pods/log") not in cluster.used, "fetched once for each end"


def test_ready_pod_counts_while_a_new_one_is_stuck(backend: KubernetesBackend, cluster: Cluster) -> None:
    backend.apply(pod_spec())
    cluster.set_pod("web-0", **running("10.0.0.1"))
    labels = cluster.pod_of("web-0")["metadata"]["labels"]
    cluster.add("pods", "zz-new", metadata={"labels": labels}, status=waiting("ImagePullBackOff"))
    assert (_observed(backend).url, _observed(backend).trouble) == ("http://10.0.0.1:8000", None)


def test_evicted_pod_is_not_the_one_that_matters(backend: KubernetesBackend, cluster: Cluster) -> None:
    backend.apply(pod_spec())
    cluster.set_pod("web-0", **running("10.0.0.1", ready=False))
    labels = cluster.pod_of("web-0")["metadata"]["labels"]
    cluster.add("pods", "zz-evicted", metadata={"labels": labels}, status={"phase": "Failed", "reason": "Evicted"})
    assert _observed(backend).trouble is None


def test_log_and_events_of_one_replica(backend: KubernetesBackend, cluster: Cluster) -> None:
    backend.apply(pod_spec())
    pod = cluster.pod_of("web-0")["metadata"]["name"]
    cluster.logs[pod] = "hello\n"
    for number, about in enumerate([pod, pod, "someone-else"]):
        cluster.add(
            "events", f"e{number}", involvedObject={"name": about}, type="Warning", reason=f"R{number}", message="m",
            lastTimestamp=f"2026-11-22T10:00:0{number}Z", count=number + 1,
        )  # fmt: skip
    assert backend.log("web-0", lines=10) == "hello\n"
    assert [(it.reason, it.count) for it in backend.events("web-0")] == [("R1", 2), ("R0", 1)]
    assert backend.log("nobody-0", lines=10) is None
