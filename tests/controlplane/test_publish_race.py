"""Many change and publish at once: when all is told, Redis holds what PostgreSQL holds. Real threads, real commits."""

import random
import threading
import time
from collections.abc import Callable

import pytest
from django.db import connection
from django.utils import timezone
from redis import Redis

from controlplane import gateway_tables, publish
from controlplane.access import scope
from controlplane.models import ApiKey, Project, Replica
from inference.contract import tables
from tests import factories

pytestmark = pytest.mark.django_db(transaction=True)
SECONDS = 3.0


def together(*works: Callable[[], None]) -> list[BaseException]:
    """Each over and over in a thread of its own; answers what they raised."""
    raised: list[BaseException] = []
    ends_at = time.monotonic() + SECONDS

    def run(work: Callable[[], None]) -> None:
        try:
            while time.monotonic() < ends_at:
                work()
        except BaseException as exc:  # noqa: BLE001 (the test tells)
            raised.append(exc)
        finally:
            connection.close()

    threads = [threading.Thread(target=run, args=(work,)) for work in works]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return raised


@scope.everything()
def revoke_or_give_back() -> None:
    key = random.choice(list(ApiKey.objects.all()))
    ApiKey.objects.filter(pk=key.pk).update(revoked_at=random.choice([None, timezone.now()]))
    publish.publish_key(key)


@scope.everything()
def change_project() -> None:
    project = Project.objects.get()
    Project.objects.update(register_mode=random.choice(["metadata", "digest"]))
    publish.publish_keys_of(project)


def change_replica() -> None:
    replica = random.choice(list(Replica.objects.all()))
    Replica.objects.filter(pk=replica.pk).update(state=random.choice(["ready", "unhealthy"]))
    publish.publish_routes()


@scope.everything()
def expected() -> dict[bytes, bytes]:
    usable = gateway_tables.keys().filter(pk__in=ApiKey.objects.usable())
    return {key.key_id.encode(): tables.encode(gateway_tables.key_entry(key)) for key in usable}


def test_redis_ends_as_postgresql_does(redis: Redis) -> None:
    factories.ApiKeyFactory.create_batch(12, project=factories.ProjectFactory())
    for _ in range(3):
        factories.ReplicaFactory(deployment=factories.TargetFactory().deployment)
    publish.publish_all()
    works = [revoke_or_give_back, revoke_or_give_back, change_project, change_replica, change_replica]
    assert together(*works, publish.publish_all) == []
    assert redis.hgetall(tables.KEYS) == expected()
    held = tables.decode_routes(redis.get(tables.ROUTES))
    ready = {replica.name for route in held.routes for target in route.targets for replica in target.replicas}
    assert ready == set(Replica.objects.filter(state="ready").values_list("name", flat=True))
