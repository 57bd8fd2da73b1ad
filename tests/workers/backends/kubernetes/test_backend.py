"""The backend against an API over real HTTP: what it makes, changes and ends, and that it does so once."""

import base64

import pytest

from tests.workers.backends.kubernetes.cluster import Cluster, running
from tests.workers.backends.kubernetes.pods import pod_spec
from workers.backends.base import ALONE, BackendError, Obstacle, Phase, ReplicaStatus
from workers.backends.kubernetes import names
from workers.backends.kubernetes.backend import KubernetesBackend

KINDS = ("deployments", "networkpolicies", "poddisruptionbudgets", "secrets", "serviceaccounts", "services")


def _only(backend: KubernetesBackend) -> ReplicaStatus:
    (found,) = backend.observe()
    return found


def _again(backend: KubernetesBackend) -> KubernetesBackend:
    """A worker that was restarted and renews at once."""
    return KubernetesBackend(backend.api, backend.place, chance=lambda: 0.0)


def test_everything_is_made(backend: KubernetesBackend, cluster: Cluster) -> None:
    backend.apply(pod_spec())
    assert {kind: len(cluster.of(kind)) for kind in KINDS} == dict.fromkeys(KINDS, 1)
    (secret,) = cluster.of("secrets")
    assert base64.b64decode(secret["data"]["VLLM_API_KEY"]) == b"secret-key"


def test_pod_starts_after_all_that_it_needs(backend: KubernetesBackend, cluster: Cluster) -> None:
    backend.apply(pod_spec())
    first, *between, last = cluster.writes
    assert first == last == "patch deployments/sb-web-0"
    assert {write.partition(" ")[2].partition("/")[0] for write in between} == set(KINDS) - {"deployments"}


def test_all_belongs_to_the_deployment(backend: KubernetesBackend, cluster: Cluster) -> None:
    backend.apply(pod_spec())
    (deployment,) = cluster.of("deployments")
    for kind in set(KINDS) - {"deployments"}:
        (made,) = cluster.of(kind)
        assert [it["uid"] for it in made["metadata"]["ownerReferences"]] == [deployment["metadata"]["uid"]]


def test_shared_objects_belong_to_all_replicas_and_go_with_the_last(
    backend: KubernetesBackend, cluster: Cluster
) -> None:
    for name in ("web-0", "web-1"):
        backend.apply(pod_spec(name=name))
    (budget,) = cluster.of("poddisruptionbudgets")
    assert len(budget["metadata"]["ownerReferences"]) == 2
    backend.delete("web-0")
    assert len(cluster.of("poddisruptionbudgets")) == 1
    backend.delete("web-1")
    assert cluster.objects == {}


def test_applied_again_by_another_worker_nothing_changes(backend: KubernetesBackend, cluster: Cluster) -> None:
    backend.apply(pod_spec())
    before = {key: it["metadata"]["resourceVersion"] for key, it in cluster.objects.items()}
    cluster.writes.clear()
    _again(backend).apply(pod_spec())
    assert len(cluster.writes) == len(KINDS), "everything is written once more"
    assert {key: it["metadata"]["resourceVersion"] for key, it in cluster.objects.items()} == before


def test_running_one_costs_no_request(backend: KubernetesBackend, cluster: Cluster) -> None:
    backend.apply(pod_spec())
    backend.observe()
    cluster.used.clear()
    backend.apply(pod_spec())
    assert not cluster.used


def test_what_was_taken_away_comes_back(cluster: Cluster, backend: KubernetesBackend) -> None:
    backend.apply(pod_spec())
    del cluster.objects["networkpolicies", "sb-web"]
    cluster.objects["services", "sb-web-0"]["spec"]["ports"] = []
    _again(backend).apply(pod_spec())
    assert len(cluster.of("networkpolicies")) == 1
    assert cluster.of("services")[0]["spec"]["ports"]


def test_what_others_added_stays(cluster: Cluster, backend: KubernetesBackend) -> None:
    backend.apply(pod_spec())
    cluster.objects["deployments", "sb-web-0"]["metadata"]["annotations"]["example.com/team"] = "search"
    _again(backend).apply(pod_spec())
    assert cluster.of("deployments")[0]["metadata"]["annotations"]["example.com/team"] == "search"


def test_interrupted_making_is_seen_and_finished(cluster: Cluster, backend: KubernetesBackend) -> None:
    found = backend._make(pod_spec(), fence=ALONE)
    assert found["spec"]["paused"] is True
    status = _only(backend)
    assert (status.phase, status.stop_ordered) == (Phase.EXITED, True)
    _again(backend).apply(pod_spec())
    assert _only(backend).phase is Phase.RUNNING
    assert "paused" not in cluster.of("deployments")[0]["spec"]


def test_pods_that_still_end_are_seen(cluster: Cluster, backend: KubernetesBackend) -> None:
    cluster.slow_to_stop = True
    backend.apply(pod_spec())
    backend.delete("web-0")
    assert (_only(backend).phase, _only(backend).deployment) == (Phase.STOPPING, "web")
    cluster.finish_stopping()
    assert backend.observe() == []


def test_hung_one_gets_less_time(cluster: Cluster, backend: KubernetesBackend) -> None:
    cluster.slow_to_stop = True
    backend.apply(pod_spec())
    backend.delete("web-0", grace_seconds=3.0)
    assert cluster.of("pods") == []


def test_address_is_the_pods(cluster: Cluster, backend: KubernetesBackend) -> None:
    backend.apply(pod_spec())
    cluster.set_pod("web-0", **running("10.1.2.3"))
    assert _only(backend).url == "http://10.1.2.3:8000"
    cluster.set_pod("web-0", **running("fd00::7"))
    assert _only(backend).url == "http://[fd00::7]:8000"


def test_pod_without_an_address_has_no_url(cluster: Cluster, backend: KubernetesBackend) -> None:
    backend.apply(pod_spec())
    cluster.set_pod("web-0", phase="Pending")
    assert (_only(backend).phase, _only(backend).url) == (Phase.RUNNING, "")


def test_somebody_elses_object_of_that_name_is_left_alone(cluster: Cluster, backend: KubernetesBackend) -> None:
    cluster.add("deployments", "sb-web-0", spec={"replicas": 3})
    for order in (lambda: backend.apply(pod_spec()), lambda: backend.delete("web-0")):
        with pytest.raises(BackendError) as caught:
            order()
        assert caught.value.reason is Obstacle.NAME_TAKEN
    assert cluster.writes == []


def test_other_things_of_the_namespace_are_not_replicas(cluster: Cluster, backend: KubernetesBackend) -> None:
    cluster.add("pods", "someone", metadata={"labels": {"app": "x"}})
    cluster.add("deployments", "other", metadata={"labels": {names.MANAGED_BY: names.MANAGER}}, spec={})
    assert backend.observe() == []


def test_long_lists_are_read_to_their_end(
    cluster: Cluster, backend: KubernetesBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("workers.backends.kubernetes.api.PAGE", 2)
    for number in range(5):
        backend.apply(pod_spec(name=f"web-{number}"))
    assert len(backend.observe()) == 5
