"""R2 at the size that it is meant for: 200 deployments of 2 replicas in one namespace, over real HTTP."""

import time

import pytest
from redis import Redis

from controlplane.models import Deployment, Replica
from tests import factories
from tests.proofs.proof import Proof
from tests.workers.backends.kubernetes.cluster import Cluster, running_cluster
from tests.workers.backends.kubernetes.pods import PLACE
from tests.workers.test_reconciler import StubProber
from workers.backends.kubernetes.api import Api
from workers.backends.kubernetes.backend import KubernetesBackend
from workers.reconciler import Reconciler

pytestmark = pytest.mark.django_db


def _reconciler(cluster: Cluster) -> Reconciler:
    """A worker that has just been started."""
    backend = KubernetesBackend(Api(cluster.client, PLACE.namespace), PLACE)
    return Reconciler(lambda _: backend, StubProber())  # type: ignore[arg-type]


@pytest.mark.proof("R2", seconds=300)
def test_pass_and_change_are_quick(proof: Proof, redis: Redis) -> None:
    count = proof.full(5, 200)
    version = factories.VersionFactory.create(source="hf:Qwen/Qwen3")
    factories.DeploymentFactory.create_batch(count, version=version, replicas=2, backend="kubernetes", flavour="vllm")
    with running_cluster() as cluster:
        first = _reconciler(cluster)
        for _ in range(3):
            first.run(Deployment.objects.all())
        assert Replica.objects.filter(state="ready").count() == 2 * count
        passes, changes = list[float](), list[float]()
        for turn in range(5):
            worker = _reconciler(cluster) if turn % 2 else first
            begun = time.perf_counter()
            worker.run(Deployment.objects.all())
            passes.append(time.perf_counter() - begun)
            one = Deployment.objects.order_by("?")[0]
            Deployment.objects.filter(pk=one.pk).update(replicas=one.replicas + 1)
            begun = time.perf_counter()
            worker.run(Deployment.objects.filter(pk=one.pk))  # as its task does, sent at the commit
            changes.append(time.perf_counter() - begun)
            assert ("deployments", f"sb-{one.name}-{one.replicas}") in cluster.objects
    proof.show(
        f"a pass over {count} deployments of 2 pods", counted=len(passes), bar="≤ 5 s",
        measured=f"{max(passes):.2f} s at most", held=max(passes) <= 5, timed=True,
    )  # fmt: skip
    proof.show(
        "from a change to the end of what the API is told of it", counted=len(changes), bar="≤ 2 s",
        measured=f"{max(changes):.2f} s at most", held=max(changes) <= 2, timed=True,
    )  # fmt: skip
