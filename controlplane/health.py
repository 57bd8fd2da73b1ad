"""``/healthz``, ``/readyz``, ``/version`` and ``/metrics`` of the console: open to all, nothing private in them."""

import tomllib
from collections.abc import Callable, Iterable
from functools import cache

from django.conf import settings
from django.db import DatabaseError, connection
from django.db.models import Count, Min
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.utils import timezone
from django.views.decorators.http import require_safe
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from prometheus_client.core import GaugeMetricFamily
from redis.exceptions import RedisError

from audit.rolling import is_frozen
from audit.sealer import lag_seconds
from controlplane.access import scope
from controlplane.alerting.metrics import Severity
from controlplane.budgets import standings_of, with_accounts
from controlplane.lifecycle import AlertState, ReplicaState
from controlplane.models import Alert, ApiKey, Limit, Replica
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
    """Prometheus text: numbers of the whole platform, no names."""
    del request
    registry = CollectorRegistry()
    registry.register(_Figures(_replicas))
    registry.register(_Figures(_alerts))
    registry.register(_Figures(_nearest_ends))
    registry.register(_Figures(_register))
    return HttpResponse(generate_latest(registry), content_type=CONTENT_TYPE_LATEST)


class _Figures:
    """What a function tells when it is asked."""

    def __init__(self, tell: Callable[[], Iterable[GaugeMetricFamily]]) -> None:
        self.collect = tell

    def describe(self) -> Iterable[GaugeMetricFamily]:
        """Nothing to ask when it is registered."""
        return []


def _replicas() -> Iterable[GaugeMetricFamily]:
    counted = dict(Replica.objects.order_by().values_list("state").annotate(Count("pk")))
    family = GaugeMetricFamily("signalbox_replicas", "Replicas by state.", labels=["state"])
    for state in ReplicaState.values:
        family.add_metric([state], counted.get(state, 0))
    yield family


def _alerts() -> Iterable[GaugeMetricFamily]:
    rows = Alert.objects.filter(ended_at=None).order_by().values_list("state", "severity").annotate(Count("pk"))
    counted = {(state, severity): count for state, severity, count in rows}
    family = GaugeMetricFamily("signalbox_alerts", "Open alerts.", labels=["state", "severity"])
    for state in AlertState.values:
        for severity in Severity.values:
            if state != AlertState.INACTIVE:
                family.add_metric([state, severity], counted.get((state, severity), 0))
    yield family


def _nearest_ends() -> Iterable[GaugeMetricFamily]:
    """Absent when no key expires and no budget is set."""
    now = timezone.now()
    with scope.everything():
        soonest = ApiKey.objects.filter(revoked_at=None, expires_at__gt=now).aggregate(Min("expires_at"))
        limits = list(with_accounts(Limit.objects.filter(accounts__ends__gt=now).distinct()))
    if (expires := soonest["expires_at__min"]) is not None:
        days = (expires - now).total_seconds() / 86_400
        yield GaugeMetricFamily("signalbox_api_key_days_left", "Until the next API key expires.", value=days)
    if used := [standing.percent for limit in limits for standing in standings_of(limit)]:
        yield GaugeMetricFamily("signalbox_budget_used_percent", "Of the budget that is used up most.", value=max(used))


def _register() -> Iterable[GaugeMetricFamily]:
    with scope.everything():
        lag = lag_seconds()
    name = "signalbox_audit_unsealed_seconds"
    yield GaugeMetricFamily(name, "Age of the oldest register entry that no seal binds.", value=lag)
    name = "signalbox_audit_verification_failed"
    yield GaugeMetricFamily(name, "1 while the register is not as it was written.", value=is_frozen())
