"""The reconciler between the real database and a cluster over real HTTP."""

from collections.abc import Callable
from typing import Any

import pytest
from django.utils import timezone
from redis import Redis

from controlplane.lifecycle import DeploymentState, ReplicaState
from controlplane.models import Deployment, DeploymentStatus, Replica
from inference.contract import tables
from tests import factories
from tests.workers.backends.kubernetes.cluster import Cluster, failure, running, waiting
from tests.workers.backends.kubernetes.pods import PLACE
from tests.workers.test_reconciler import StubProber
from workers.backends.base import Obstacle, Trouble
from workers.backends.kubernetes.api import Api
from workers.backends.kubernetes.backend import KubernetesBackend
from workers.backends.memory import MemoryBackend
from workers.reconciler import Reconciler

pytestmark = pytest.mark.django_db

Look = Callable[..., None]


class Killed(BaseException):
    """As far as the database and the cluster can tell, the worker was killed here."""


@pytest.fixture
def deployment(redis: Redis) -> Deployment:
    return factories.DeploymentFactory.create(
        name="web", replicas=2, backend="kubernetes", flavour="vllm", version__source="hf:Qwen/Qwen3"
    )


@pytest.fixture
def look(backend: KubernetesBackend) -> Look:
    def passes(times: int = 1, worker: KubernetesBackend = backend) -> None:
        for _ in range(times):
            Reconciler(lambda _: worker, StubProber(), chance=lambda: 0.0).run(Deployment.objects.all())  # type: ignore[arg-type]

    return passes


@pytest.fixture(autouse=True)
def _no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("workers.plan.LEAVE_SECONDS", 0.0)


def _states() -> dict[str, str]:
    return dict(Replica.objects.values_list("name", "state"))


def _made(cluster: Cluster) -> list[str]:
    return [it["metadata"]["name"] for it in cluster.of("deployments")]


def test_pods_are_made_and_published(look: Look, deployment: Deployment, cluster: Cluster, redis: Redis) -> None:
    factories.TargetFactory.create(deployment=deployment)
    look(3)
    assert _states() == {"web-0": "ready", "web-1": "ready"}
    (route,) = tables.decode_routes(redis.get(tables.ROUTES)).routes  # type: ignore[arg-type]
    addresses = {f"http://{pod['status']['podIP']}:8000" for pod in cluster.of("pods")}
    assert {it.url for it in route.targets[0].replicas} == addresses


def test_scaled_down_changed_and_deleted(look: Look, deployment: Deployment, cluster: Cluster) -> None:
    look(3)
    Deployment.objects.update(replicas=1)
    look(4)
    assert _made(cluster) == ["sb-web-0"]
    before = cluster.of("deployments")[0]["metadata"]["uid"]
    Deployment.objects.update(engine_args={"seed": 7})
    look(5)
    assert cluster.of("deployments")[0]["metadata"]["uid"] != before
    assert _states()["web-0"] == ReplicaState.READY
    Deployment.objects.update(deleted_at=timezone.now())
    look(4)
    assert cluster.objects == {}
    assert not Deployment.objects.exists()


def test_condition_stands_at_replica_and_deployment(look: Look, deployment: Deployment, cluster: Cluster) -> None:
    look(3)
    cluster.set_pod("web-0", **waiting("ImagePullBackOff", "no such tag"))
    cluster.set_pod("web-1", **waiting("ImagePullBackOff", "no such tag"))
    Reconciler(lambda _: _backend(cluster), StubProber(silent={"web-0", "web-1"})).run(Deployment.objects.all())  # type: ignore[arg-type]
    replica = Replica.objects.get(name="web-0")
    assert (replica.state, replica.reason) == (ReplicaState.STARTING, Trouble.IMAGE)
    status = DeploymentStatus.objects.get()
    assert (status.state, "no such tag" in status.message) == (DeploymentState.PROGRESSING, True)


def _backend(cluster: Cluster) -> KubernetesBackend:
    return KubernetesBackend(Api(cluster.client, PLACE.namespace), PLACE)


def test_pod_on_another_node_is_followed(look: Look, deployment: Deployment, cluster: Cluster) -> None:
    look(3)
    cluster.set_pod("web-0", **running("10.9.9.9", started="2026-11-22T11:00:00Z"))
    look(1)
    assert _states()["web-0"] == ReplicaState.STARTING or Replica.objects.get(name="web-0").url.endswith("9.9.9:8000")
    look(1)
    assert (_states()["web-0"], Replica.objects.get(name="web-0").url) == ("ready", "http://10.9.9.9:8000")


def test_cluster_that_cannot_be_seen_is_said_and_changes_nothing(
    look: Look, deployment: Deployment, cluster: Cluster
) -> None:
    look(3)
    cluster.refuse = lambda _: failure(401, "Unauthorized")
    look(2)
    assert _states() == {"web-0": "ready", "web-1": "ready"}
    assert "renew the kubeconfig" in DeploymentStatus.objects.get().message


def test_cluster_that_is_away_does_not_hold_up_others(look: Look, deployment: Deployment, cluster: Cluster) -> None:
    here = factories.DeploymentFactory.create(name="here", replicas=1)
    cluster.refuse = lambda _: failure(503, "X")
    backends: dict[str, Any] = {"kubernetes": _backend(cluster), "process": MemoryBackend()}
    for _ in range(2):
        Reconciler(backends.__getitem__, StubProber()).run(Deployment.objects.all())  # type: ignore[arg-type]
    assert DeploymentStatus.objects.get(deployment=here).state == DeploymentState.READY


def test_namespace_that_disappears_is_a_condition(look: Look, deployment: Deployment, cluster: Cluster) -> None:
    look(3)
    cluster.objects.clear()
    cluster.namespace_exists = False
    look(2)
    assert set(_states().values()) == {ReplicaState.BACKOFF}
    replica = Replica.objects.get(name="web-0")
    assert replica.reason == Obstacle.NAMESPACE_MISSING
    assert "engines" in DeploymentStatus.objects.get().message


def test_worker_killed_at_any_request_is_continued_by_the_next(
    look: Look, deployment: Deployment, cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After each number of requests, with the last one done or not: the next worker ends up where it should."""
    look(3)
    wanted = 2
    for turn in range(0, 39, 3):
        wanted = {2: 3, 3: 1, 1: 2}[wanted]
        Deployment.objects.update(replicas=wanted, engine_args={"seed": turn})
        worker, left, done = _backend(cluster), iter(range(turn // 2)), turn % 2
        ask = worker.api._raw

        def killed(*args: Any, ask: Any = ask, left: Any = left, done: int = done, **kwargs: Any) -> bytes:
            if next(left, None) is None:
                if done:
                    ask(*args, **kwargs)
                raise Killed
            return ask(*args, **kwargs)

        monkeypatch.setattr(worker.api, "_raw", killed)
        for _ in range(4):
            try:
                look(1, worker)
            except Killed:
                break
        look(10, _backend(cluster))
        assert _made(cluster) == [f"sb-web-{number}" for number in range(wanted)], turn
        assert not any(it["spec"].get("paused") for it in cluster.of("deployments"))
        assert len(cluster.of("pods")) == wanted
        assert [state for state in _states().values() if state == "ready"] == ["ready"] * wanted, turn


def test_nothing_to_do_changes_nothing(look: Look, deployment: Deployment, cluster: Cluster) -> None:
    look(3)
    cluster.changes.clear()
    look(3)
    look(1, _backend(cluster))
    assert cluster.changes == []
