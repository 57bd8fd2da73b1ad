"""``/healthz``, ``/readyz``, ``/version`` and ``/metrics`` of the console: open to all, nothing private in them."""

import tomllib
from collections.abc import Iterable
from functools import cache

from django.conf import settings
from django.db import DatabaseError, connection
from django.db.models import Count
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.views.decorators.http import require_safe
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from prometheus_client.core import GaugeMetricFamily
from redis.exceptions import RedisError

from controlplane.lifecycle import ReplicaState
from controlplane.models import Replica
from controlplane.publish import redis_client


@require_safe
def healthz(request: HttpRequest) -> HttpResponse:
    """The process is up; it asks nobody."""
    del request
    return JsonResponse({"status": "ok"})


@require_safe
def readyz(request: HttpRequest) -> HttpResponse:
    """503 while PostgreSQL or Redis does not answer, naming which."""
    del request
    checks = {"postgresql": _postgresql(), "redis": _redis()}
    ready = all(checks.values())
    shown = {name: "ok" if up else "does not answer" for name, up in checks.items()}
    return JsonResponse({"status": "ok" if ready else "not ready", "checks": shown}, status=200 if ready else 503)


def _postgresql() -> bool:
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
    except DatabaseError:
        return False
    return True


def _redis() -> bool:
    try:
        return bool(redis_client().ping())
    except RedisError:
        return False


@require_safe
def version(request: HttpRequest) -> HttpResponse:
    """Which Signalbox this is."""
    del request
    return JsonResponse({"name": "signalbox", "version": release()})


@cache
def release() -> str:
    """The version in pyproject.toml, the one place where it stands."""
    with (settings.BASE_DIR / "pyproject.toml").open("rb") as file:
        return str(tomllib.load(file)["project"]["version"])


@require_safe
def metrics(request: HttpRequest) -> HttpResponse:
    """Prometheus text, from one query."""
    del request
    registry = CollectorRegistry()
    registry.register(_Replicas())
    return HttpResponse(generate_latest(registry), content_type=CONTENT_TYPE_LATEST)


class _Replicas:
    def collect(self) -> Iterable[GaugeMetricFamily]:
        counted = dict(Replica.objects.order_by().values_list("state").annotate(Count("pk")))
        family = GaugeMetricFamily("signalbox_replicas", "Replicas by state.", labels=["state"])
        for state in ReplicaState.values:
            family.add_metric([state], counted.get(state, 0))
        yield family

    def describe(self) -> Iterable[GaugeMetricFamily]:
        """Nothing to ask when it is registered."""
        return []
