"""The tasks: what a message sets off."""

from datetime import timedelta
from typing import Any
from unittest.mock import patch

import pytest
from django.db import connections
from django.utils import timezone
from redis import Redis

from config.celery import app
from controlplane import publish
from controlplane.lifecycle import ReplicaState
from controlplane.models import Deployment, Replica
from controlplane.publish import client_of
from controlplane.signals import desired_changed
from inference.contract import tables
from tests import factories
from workers import fleet
from workers.backends.memory import MemoryBackend
from workers.schedule import SCHEDULE
from workers.tasks import register
from workers.tasks.publish import publish_everything, publish_tables
from workers.tasks.reconcile import reconcile_all, reconcile_deployment

pytestmark = pytest.mark.django_db


@pytest.fixture
def backend(monkeypatch: pytest.MonkeyPatch, redis: Redis) -> MemoryBackend:
    backend = MemoryBackend()
    monkeypatch.setattr("workers.tasks.reconcile.reconciler", lambda: _reconciler(backend))
    return backend


def _reconciler(backend: MemoryBackend) -> Any:
    from workers.probe import Prober
    from workers.reconciler import Reconciler

    return Reconciler(lambda _: backend, Prober())


def test_one_deployment(backend: MemoryBackend) -> None:
    deployment = factories.DeploymentFactory.create(name="web")
    factories.DeploymentFactory.create(name="other")
    reconcile_deployment(str(deployment.pk))
    assert backend.starts == ["web-0"]


def test_all_deployments(backend: MemoryBackend) -> None:
    factories.DeploymentFactory.create_batch(2)
    reconcile_all()
    assert len(backend.starts) == 2


def test_deployment_that_is_gone(backend: MemoryBackend) -> None:
    reconcile_deployment("00000000-0000-0000-0000-000000000000")


def test_change_sends_a_message(monkeypatch: pytest.MonkeyPatch) -> None:
    sent: list[Any] = []
    monkeypatch.setattr(reconcile_deployment, "apply_async", lambda **words: sent.append(words))
    deployment = factories.DeploymentFactory.create()
    desired_changed.send_robust(sender=Deployment, deployment_id=deployment.pk)
    assert sent == [{"args": (str(deployment.pk),), "retry": False}]


def test_empty_redis_gets_everything(redis: Redis) -> None:
    key = factories.ApiKeyFactory.create()
    publish_tables()
    assert redis.hexists(tables.KEYS, key.key_id)
    assert publish.published()


def test_stale_routes_are_renewed(redis: Redis) -> None:
    publish_tables()
    factories.RouteFactory.create(name="chat")
    publish_tables()
    payload = redis.get(tables.ROUTES)
    assert isinstance(payload, bytes)
    assert [route.name for route in tables.decode_routes(payload).routes] == ["chat"]


def test_lost_key_comes_back(redis: Redis) -> None:
    key = factories.ApiKeyFactory.create()
    publish_tables()
    redis.hdel(tables.KEYS, key.key_id)
    publish_everything()
    assert redis.hexists(tables.KEYS, key.key_id)


@pytest.mark.parametrize("task", [publish_tables, publish_everything])
def test_redis_away_is_survived(task: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(publish, "redis_client", lambda: client_of("redis://127.0.0.1:9"))
    task()


@pytest.mark.django_db(databases=["default", "owner"])
def test_partitions_are_made() -> None:
    following = timezone.now() + timedelta(days=120)
    with patch("workers.tasks.register.timezone.now", return_value=following):
        register.make_partitions()
    with connections["owner"].cursor() as cursor:
        cursor.execute("SELECT to_regclass(%s)", [f"audit_event_{following:%Y_%m}"])
        assert cursor.fetchone()[0] is not None


def test_schedule_names_tasks_that_exist() -> None:
    app.loader.import_default_modules()
    assert {entry["task"] for entry in SCHEDULE.values()} <= set(app.tasks)


def test_frequent_messages_expire_before_the_next() -> None:
    frequent = [entry for entry in SCHEDULE.values() if isinstance(entry["schedule"], float)]
    assert frequent
    assert all(entry["options"]["expires"] <= entry["schedule"] for entry in frequent)


def test_every_backend_name_has_a_backend() -> None:
    for name in Deployment._meta.get_field("backend").choices or []:
        assert fleet.backend(str(name[0]))


def test_replica_rows_survive_a_stop(backend: MemoryBackend) -> None:
    deployment = factories.DeploymentFactory.create(name="web")
    reconcile_all()
    Deployment.objects.filter(pk=deployment.pk).update(replicas=0)
    for _ in range(3):
        reconcile_all()
    assert Replica.objects.get().state == ReplicaState.STOPPED
