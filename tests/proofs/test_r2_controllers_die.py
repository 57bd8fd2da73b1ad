"""R2: a controller that is killed at any step is continued within 60 s; one that wakes up too late writes nothing."""

import contextlib
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.db import connection

from controlplane.models import Deployment, Replica
from tests import factories
from tests.inference.conftest import in_database
from tests.proofs.proof import Proof
from tests.workers.backends.kubernetes.cluster import Cluster, failure, running_cluster
from workers.specs import specs_of

WITHIN = 60.0
"""seconds"""
LEASE = 2
"""seconds; that of the product is longer than a request may take"""
WRITES = 8
"""at least as many are made for any new order: one replica ended, another one made"""

Strike = Callable[[], None]


@pytest.fixture
def cluster() -> Iterator[Cluster]:
    with running_cluster() as found:
        yield found


@contextlib.contextmanager
def controller(cluster: Cluster, name: str) -> Iterator[subprocess.Popen[str]]:
    """A running one; whatever became of it, it is gone afterwards."""
    database = in_database(os.environ["DATABASE_URL"], connection.settings_dict["NAME"])
    env = {**os.environ, "DJANGO_SETTINGS_MODULE": "config.settings", "DATABASE_URL": database}
    argv = [sys.executable, "-m", "tests.proofs.controller", cluster.url_text, name, str(LEASE)]
    process = subprocess.Popen(argv, env=env, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        yield process
    finally:
        process.send_signal(signal.SIGCONT)
        process.kill()
        process.wait(20)
        if process.stdout:
            process.stdout.close()


def strike_at(cluster: Cluster, name: str, number: int, strike: Strike, *, done: bool) -> None:
    """Strike at the controller's request of that number that changes something; `done`: it still takes effect."""
    left = iter(range(number))

    def refuse(request: Any) -> Any:
        ours = request.headers.get("User-Agent") == name and request.method.value != "GET"
        if not ours or next(left, None) is not None:
            return None
        cluster.refuse = lambda _: None
        strike()
        return None if done else failure(500, "Struck")

    cluster.refuse = refuse


def order(random_: random.Random) -> None:
    """Another number of other engines."""
    Deployment.objects.update(replicas=random_.randint(1, 3), engine_args={"seed": random_.randrange(10**9)})


def is_as_ordered(cluster: Cluster) -> bool:
    """All that is wanted runs and is known to be ready, and nothing else is there."""
    rows = Deployment.objects.select_related("version__model")
    wanted = {spec.name: spec.spec_hash for row in rows for spec in specs_of(row)}
    made = {
        it["metadata"]["labels"]["signalbox.dev/replica"]: it["metadata"]["annotations"]["signalbox.dev/spec-hash"]
        for it in cluster.of("deployments")
        if not it["spec"].get("paused")
    }
    ready = set(Replica.objects.filter(state="ready").values_list("name", flat=True))
    return wanted == made and len(cluster.of("deployments")) == len(cluster.of("pods")) == len(wanted) == len(ready)


def seconds_until_as_ordered(cluster: Cluster) -> float:
    begun = time.monotonic()
    while not is_as_ordered(cluster) and time.monotonic() - begun < WITHIN + 10:
        time.sleep(0.1)
    return time.monotonic() - begun


@pytest.fixture
def deployment(transactional_db: None) -> Deployment:
    return factories.DeploymentFactory.create(
        name="web", replicas=2, backend="kubernetes", flavour="vllm", version__source="hf:Qwen/Qwen3"
    )


@pytest.mark.proof("R2", seconds=900)
def test_killed_controllers_are_continued(proof: Proof, cluster: Cluster, deployment: Deployment) -> None:
    random_, waits = random.Random(5), list[float]()
    for turn in proof.rounds(1, 60):
        name = f"one-{turn}"
        with controller(cluster, name) as process:
            strike_at(cluster, name, random_.randrange(WRITES), process.kill, done=bool(turn % 2))
            order(random_)
            process.wait(60)
        with controller(cluster, f"next-{turn}"):
            waits.append(seconds_until_as_ordered(cluster))
    proof.show(
        "controllers killed at a write, done or not, are continued by another", counted=len(waits),
        bar=f"≤ {WITHIN:.0f} s", measured=f"{max(waits):.1f} s at most", held=max(waits) <= WITHIN,
    )  # fmt: skip


@pytest.mark.proof("R2", seconds=900)
def test_leader_that_was_stopped_writes_nothing_wrong(proof: Proof, cluster: Cluster, deployment: Deployment) -> None:
    """It is stopped in the middle of its work; another takes over once its lease is up; then it goes on."""
    random_, wrong, waits = random.Random(6), list[tuple[str, str]](), list[float]()
    for turn in proof.rounds(1, 40):
        name = f"sleeper-{turn}"
        with controller(cluster, name) as process:
            stopped = threading.Event()
            strike_at(cluster, name, random_.randrange(WRITES), _stopping(process, stopped), done=bool(turn % 2))
            order(random_)
            assert stopped.wait(60)
            order(random_)
            with controller(cluster, f"other-{turn}"):
                waits.append(seconds_until_as_ordered(cluster))
                cluster.changes.clear()
                process.send_signal(signal.SIGCONT)
                time.sleep(2.0)
                wrong += cluster.changes
                assert is_as_ordered(cluster)
    proof.show(
        "controllers stopped at a write: another takes over", counted=len(waits), bar=f"≤ {WITHIN:.0f} s",
        measured=f"{max(waits):.1f} s at most", held=max(waits) <= WITHIN,
    )  # fmt: skip
    proof.show(
        "… and what the first still changes when it wakes up", counted=len(waits), bar="0 writes", measured=len(wrong),
        held=not wrong,
    )  # fmt: skip


def _stopping(process: subprocess.Popen[str], stopped: threading.Event) -> Strike:
    def strike() -> None:
        process.send_signal(signal.SIGSTOP)
        stopped.set()

    return strike
