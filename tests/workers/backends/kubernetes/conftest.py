"""A cluster over real HTTP, and the backend that works on it."""

import os
from collections.abc import Iterator

import pytest

from tests.workers.backends.kubernetes.cluster import Cluster, running_cluster
from tests.workers.backends.kubernetes.pods import PLACE
from workers.backends.kubernetes.api import Api
from workers.backends.kubernetes.backend import KubernetesBackend

collect_ignore = [] if os.environ.get("SIGNALBOX_TEST_KUBECONFIG") else ["test_real_server.py"]


@pytest.fixture
def cluster() -> Iterator[Cluster]:
    with running_cluster() as found:
        yield found


@pytest.fixture
def backend(cluster: Cluster) -> KubernetesBackend:
    return KubernetesBackend(Api(cluster.client, PLACE.namespace), PLACE, chance=lambda: 0.0)
