"""The reconciler on the real database, with imagined engines."""

import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import timedelta

import pytest
from django.db import connections, transaction
from django.utils import timezone
from redis import Redis

from audit.models import Event
from audit.record import Actor
from controlplane.actions.change_deployment import change_deployment
from controlplane.actions.delete_deployment import delete_deployment
from controlplane.lifecycle import DeploymentState, ReplicaState
from controlplane.models import Deployment, DeploymentStatus, Replica, ReplicaTransition
from inference.contract import tables
from tests import factories
from workers.backends.base import BackendError, Obstacle
from workers.backends.memory import MemoryBackend
from workers.probe import Target
from workers.reconciler import Reconciler
from workers.verdict import CRASH_LOOP_AFTER, Health

pytestmark = pytest.mark.django_db


@dataclass
class StubProber:
    """All engines are well unless named in `ill`; those in `silent` have not answered yet."""

    ill: set[str] = field(default_factory=set)
    silent: set[str] = field(default_factory=set)

    def ask(self, targets: Iterable[Target], patience: float) -> dict[str, Health]:
        return {
            one.name: Health(ok=one.name not in self.ill, reason="no_answer", message="silence")
            for one in targets
            if one.name not in self.silent
        }


@dataclass
class Stage:
    """A backend, a prober and the reconciler between them and the database."""

    backend: MemoryBackend = field(default_factory=MemoryBackend)
    prober: StubProber = field(default_factory=StubProber)

    def look(self, times: int = 1) -> None:
        for _ in range(times):
            worker = Reconciler(lambda _: self.backend, self.prober, chance=lambda: 0.0)  # type: ignore[arg-type]
            worker.run(Deployment.objects.all())

    def wait(self, seconds: float) -> None:
        """Time passes: everything in the database happened that much earlier."""
        past = timedelta(seconds=seconds)
        for row in Replica.objects.all():
            times = {name: value - past for name in ("retry_at", "ready_at") if (value := getattr(row, name))}
            Replica.objects.filter(pk=row.pk).update(**times)
        for line in ReplicaTransition.objects.all():
            ReplicaTransition.objects.filter(pk=line.pk).update(at=line.at - past)


@pytest.fixture
def stage(redis: Redis) -> Stage:
    return Stage()


@pytest.fixture
def deployment() -> Deployment:
    return factories.DeploymentFactory.create(name="web", replicas=1)


def _states() -> dict[str, str]:
    return dict(Replica.objects.values_list("name", "state"))


def _status(deployment: Deployment) -> DeploymentStatus:
    return DeploymentStatus.objects.get(deployment=deployment)


def test_replica_starts_and_becomes_ready(stage: Stage, deployment: Deployment) -> None:
    stage.look()
    assert _states() == {"web-0": ReplicaState.STARTING}
    assert _status(deployment).state == DeploymentState.PROGRESSING
    stage.look()
    assert _states() == {"web-0": ReplicaState.READY}
    status = _status(deployment)
    assert (status.state, status.ready_replicas) == (DeploymentState.READY, 1)
    assert Replica.objects.get().url == "http://web-0.invalid:8000"


def test_looking_again_changes_nothing(stage: Stage, deployment: Deployment) -> None:
    stage.look(2)
    lines, row = ReplicaTransition.objects.count(), Replica.objects.values().get()
    stage.look(5)
    assert (ReplicaTransition.objects.count(), Replica.objects.values().get()) == (lines, row)
    assert stage.backend.starts == ["web-0"]


def _published(redis: Redis) -> tuple[tables.ReplicaEntry, ...]:
    payload = redis.get(tables.ROUTES)
    assert isinstance(payload, bytes)
    return tables.decode_routes(payload).routes[0].targets[0].replicas


def test_ready_replica_is_published(stage: Stage, deployment: Deployment, redis: Redis) -> None:
    factories.TargetFactory.create(route__name="chat", deployment=deployment)
    stage.look(2)
    (replica,) = _published(redis)
    assert (replica.name, replica.url) == ("web-0", "http://web-0.invalid:8000")
    stage.backend.die("web-0")
    stage.look()
    assert _published(redis) == ()


def test_dead_replica_is_told_and_starts_anew(stage: Stage, deployment: Deployment) -> None:
    stage.look(2)
    stage.backend.die("web-0", log_tail="RuntimeError: gone\n")
    stage.look()
    assert _states() == {"web-0": ReplicaState.BACKOFF}
    line = ReplicaTransition.objects.first()
    assert line is not None
    assert (line.old_state, line.new_state, line.reason) == ("ready", "backoff", "killed")
    assert "RuntimeError: gone" in line.log_tail
    stage.look()
    assert _states() == {"web-0": ReplicaState.BACKOFF}, "it has to wait a second"
    stage.wait(2)
    stage.look(2)
    assert _states() == {"web-0": ReplicaState.READY}
    assert stage.backend.starts == ["web-0"] * 2


def test_crash_loop_is_a_state_with_the_last_lines(stage: Stage, deployment: Deployment) -> None:
    stage.prober.ill.add("web-0")
    for _ in range(CRASH_LOOP_AFTER):
        stage.look()
        stage.backend.die("web-0", signal=0, log_tail="ValueError: no such flag\n")
        stage.look()
        stage.wait(70)
    assert _states() == {"web-0": ReplicaState.CRASH_LOOP}
    status = _status(deployment)
    assert status.state == DeploymentState.FAILED
    assert "ValueError: no such flag" in status.message
    stage.look()
    assert _status(deployment).state == DeploymentState.FAILED, "one more start is no recovery"


def test_new_spec_ends_a_crash_loop_at_once(stage: Stage, deployment: Deployment, alice: Actor) -> None:
    stage.prober.ill.add("web-0")
    for _ in range(CRASH_LOOP_AFTER):
        stage.look()
        stage.backend.die("web-0")
        stage.look()
        stage.wait(70)
    change_deployment(deployment, engine_args={"max-model-len": 512}, actor=alice)
    stage.prober.ill.clear()
    stage.wait(-70)
    stage.look(2)
    assert _status(deployment).state == DeploymentState.READY
    assert Replica.objects.get().restarts == 0


def test_refused_start_says_why(stage: Stage, deployment: Deployment) -> None:
    stage.backend = _Refusing()
    stage.look(3)
    replica = Replica.objects.get()
    assert (replica.state, replica.reason) == (ReplicaState.BACKOFF, Obstacle.NO_MEMORY)
    assert "too little memory" in _status(deployment).message
    assert replica.restarts == 0
    assert stage.backend.asked == 1, "it waits before it asks again"


class _Refusing(MemoryBackend):
    asked = 0

    def apply(self, spec: object, **_: object) -> None:
        self.asked += 1
        raise BackendError("too little memory", reason=Obstacle.NO_MEMORY, retry_after=10)


def test_backend_that_cannot_be_seen_changes_nothing(stage: Stage, deployment: Deployment) -> None:
    stage.look(2)
    stage.backend.fail = BackendError("away")
    stage.look()
    assert _states() == {"web-0": ReplicaState.READY}


def test_ill_replica_leaves_rotation_and_is_started_anew(stage: Stage, deployment: Deployment) -> None:
    stage.look(2)
    stage.prober.ill.add("web-0")
    stage.look()
    assert _states() == {"web-0": ReplicaState.UNHEALTHY}
    stage.wait(61)
    stage.look()
    assert _states() == {"web-0": ReplicaState.STOPPING}
    stage.prober.ill.clear()
    stage.look(4)
    assert _states() == {"web-0": ReplicaState.READY}
    assert Replica.objects.get().restarts == 1


def test_probe_without_an_answer_changes_nothing(stage: Stage, deployment: Deployment) -> None:
    stage.look(2)
    stage.prober.silent.add("web-0")
    stage.look(3)
    assert _states() == {"web-0": ReplicaState.READY}


def _phase(stage: Stage, name: str) -> str:
    return stage.backend.replicas[name].phase.value


def test_scaled_down_leaves_then_drains_then_is_gone(stage: Stage, deployment: Deployment) -> None:
    Deployment.objects.update(replicas=2)
    stage.look(2)
    stage.backend.slow_to_stop = True
    Deployment.objects.update(replicas=1)
    stage.look(2)
    assert _states() == {"web-0": ReplicaState.READY, "web-1": ReplicaState.STOPPING}
    assert _phase(stage, "web-1") == "running", "the gateways have to hear of it first"
    stage.wait(2)
    stage.look()
    assert _phase(stage, "web-1") == "stopping"
    stage.backend.finish_stopping()
    stage.look()
    assert _states() == {"web-0": ReplicaState.READY, "web-1": ReplicaState.STOPPED}
    assert set(stage.backend.replicas) == {"web-0"}


def test_scaled_to_nothing_is_stopped_and_can_come_back(stage: Stage, deployment: Deployment) -> None:
    stage.look(2)
    Deployment.objects.update(replicas=0)
    stage.look()
    stage.wait(2)
    stage.look(3)
    assert _status(deployment).state == DeploymentState.STOPPED
    Deployment.objects.update(replicas=1)
    stage.look(2)
    assert _status(deployment).state == DeploymentState.READY


def test_deleted_deployment_goes_after_its_engines(stage: Stage, deployment: Deployment, alice: Actor) -> None:
    stage.look(2)
    delete_deployment(deployment, actor=alice, reason="no longer needed")
    stage.look()
    assert Deployment.objects.exists()
    stage.wait(2)
    stage.look(3)
    assert not Deployment.objects.exists()
    assert stage.backend.replicas == {}


def test_deployment_without_engines_is_deleted_at_once(stage: Stage, deployment: Deployment) -> None:
    Deployment.objects.update(deleted_at=timezone.now())
    stage.look()
    assert not Deployment.objects.exists()


def test_changed_spec_replaces(stage: Stage, deployment: Deployment, alice: Actor) -> None:
    stage.look(2)
    change_deployment(deployment, engine_args={"max-model-len": 512}, actor=alice)
    stage.look()
    assert _states() == {"web-0": ReplicaState.STOPPING}
    stage.wait(2)
    stage.look(4)
    assert _states() == {"web-0": ReplicaState.READY}
    assert stage.backend.starts == ["web-0"] * 2


def test_stop_of_the_whole_instance_is_no_failure(stage: Stage, deployment: Deployment) -> None:
    stage.look(2)
    stage.backend.delete("web-0")  # as the launcher does, behind the reconciler's back
    stage.look(2)
    assert _states() == {"web-0": ReplicaState.READY}
    assert Replica.objects.get().restarts == 0


def test_forgotten_engine_is_ordered_again(stage: Stage, deployment: Deployment) -> None:
    stage.look(2)
    stage.backend.replicas.clear()
    stage.look(2)
    assert _states() == {"web-0": ReplicaState.READY}


def test_register_tells_what_came_and_went(
    stage: Stage, deployment: Deployment, events: Callable[[], list[Event]]
) -> None:
    stage.look(2)
    stage.backend.die("web-0")
    stage.look()
    found = [(event.operation, event.kind, event.actor_type, event.changes) for event in events()]
    assert found == [
        ("replica.state_changed", "system", "system", {"state": ["starting", "ready"]}),
        ("replica.state_changed", "system", "system", {"state": ["ready", "backoff"]}),
    ]
    assert {event.target_name for event in events()} == {"web-0"}


def test_one_broken_deployment_does_not_hold_up_the_others(stage: Stage, deployment: Deployment) -> None:
    other = factories.DeploymentFactory.create(name="other", replicas=1)
    Replica.objects.create(deployment=deployment, name="web-0", ordinal=0, state="asleep")
    stage.look(2)
    assert _status(other).state == DeploymentState.READY


def test_deployment_without_a_status_gets_one(stage: Stage, deployment: Deployment) -> None:
    DeploymentStatus.objects.all().delete()
    stage.look(2)
    assert _status(deployment).state == DeploymentState.READY


@pytest.mark.django_db(transaction=True)
def test_claimed_deployment_is_left_to_the_other_worker(stage: Stage) -> None:
    deployment = factories.DeploymentFactory.create(name="web", replicas=1)
    with transaction.atomic():
        DeploymentStatus.objects.select_for_update().get(deployment=deployment)
        found: list[int] = []

        def other() -> None:
            found.append(Reconciler(lambda _: stage.backend, stage.prober).run(Deployment.objects.all()))  # type: ignore[arg-type]
            connections.close_all()

        thread = threading.Thread(target=other)
        thread.start()
        thread.join(20)
    assert found == [0]
    assert stage.backend.starts == []


@pytest.mark.django_db(transaction=True)
def test_many_workers_at_once_start_each_replica_once(stage: Stage) -> None:
    for number in range(3):
        factories.DeploymentFactory.create(name=f"d{number}", replicas=2)

    def work() -> None:
        for _ in range(5):
            Reconciler(lambda _: stage.backend, stage.prober).run(Deployment.objects.all())  # type: ignore[arg-type]
        connections.close_all()

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert sorted(stage.backend.starts) == [f"d{number}-{ordinal}" for number in range(3) for ordinal in range(2)]
    assert not ReplicaTransition.objects.exclude(new_state__in=["starting", "ready"]).exists()


def test_old_view_is_looked_at_again(stage: Stage, deployment: Deployment) -> None:
    """Somebody worked on it between our look and our claim: what we saw does not count any more."""
    stage.look(2)

    class Late(MemoryBackend):
        looks = 0

        def observe(self) -> list[object]:  # type: ignore[override]
            Late.looks += 1
            if Late.looks == 1:
                DeploymentStatus.objects.update(observed_at=timezone.now() + timedelta(milliseconds=50))
                return []  # an empty old view
            return list(stage.backend.replicas.values())

    worker = Reconciler(lambda _: Late(), stage.prober)  # type: ignore[arg-type,return-value]
    worker.run(Deployment.objects.all())
    assert _states() == {"web-0": ReplicaState.READY}
    assert Late.looks == 2


def test_pass_over_many_deployments_is_fast(stage: Stage, django_assert_max_num_queries: Callable[..., object]) -> None:
    factories.DeploymentFactory.create_batch(10, replicas=2)
    stage.look(2)
    with django_assert_max_num_queries(10 * 6 + 15):  # type: ignore[attr-defined]
        stage.look()
