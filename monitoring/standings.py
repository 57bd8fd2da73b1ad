"""Metrics that the control plane's tables tell: replicas, keys, budgets. What is not told is not there or well."""

from collections.abc import Callable
from datetime import datetime, timedelta

from django.db.models import Q

from audit.seal_models import Verification
from audit.sealer import lag_seconds
from controlplane.alerting.metrics import Of
from controlplane.budgets import standings_of, with_accounts
from controlplane.lifecycle import ReplicaState
from controlplane.models import ApiKey, Deployment, Limit, Replica
from inference.contract import budgets
from monitoring.values import Seen, Subject

KEYS_AHEAD = timedelta(days=90)
"""keys that expire later are not looked at"""
_REGISTER = Subject(Of.REGISTER, "register", "register")


def _replicas_not_ready(_now: datetime) -> list[Seen]:
    rows = Deployment.objects.filter(deleted_at=None, replicas__gt=0).order_by("name")
    told = rows.values_list("id", "name", "project_id", "replicas", "status__ready_replicas")
    return [
        Seen(Subject(Of.DEPLOYMENT, str(pk), name, project, None, pk), float(max(0, wanted - (ready or 0))))
        for pk, name, project, wanted, ready in told
    ]


def _crash_looping(_now: datetime) -> list[Seen]:
    rows = Replica.objects.filter(deployment__deleted_at=None).order_by("name")
    told = rows.values_list("name", "state", "deployment_id", "deployment__project_id")
    return [
        Seen(Subject(Of.REPLICA, name, name, project, None, deployment), float(state == ReplicaState.CRASH_LOOP))
        for name, state, deployment, project in told
    ]


def _key_days_left(now: datetime) -> list[Seen]:
    """Of keys that are let in; the project's people see them by name."""
    soon = ApiKey.objects.filter(revoked_at=None, expires_at__gt=now, expires_at__lte=now + KEYS_AHEAD)
    return [
        Seen(
            Subject(Of.API_KEY, str(key.pk), f"{key.name} (sbx_{key.key_id}_…)", key.project_id),
            (key.expires_at - now).total_seconds() / 86_400,
        )
        for key in soon.only("name", "key_id", "project_id", "expires_at").order_by("pk")
        if key.expires_at is not None
    ]


def _quota_use(_now: datetime) -> list[Seen]:
    has_budget = Q(*((f"{name}__isnull", False) for name in budgets.DIMENSIONS), _connector=Q.OR)
    rows = Limit.objects.filter(has_budget).select_related("api_key__project", "project", "route")
    found = []
    for limit in with_accounts(rows).order_by("pk"):
        owner = limit.api_key.project if limit.api_key else limit.project or (limit.route and limit.route.project)
        for standing in standings_of(limit):
            name = f"{limit} · {standing.dimension}"
            subject = Subject(
                Of.LIMIT, f"{limit.pk} {standing.dimension}", name, owner.pk if owner else None, limit.route_id
            )
            used = 100 * standing.spent / standing.amount if standing.amount else 100.0
            found.append(Seen(subject, used))
    return found


def _register_unverified(_now: datetime) -> list[Seen]:
    """1 while the rolling verification has found what is not settled; nothing before its first round."""
    failed = Verification.objects.values_list("failed_at", flat=True)
    return [Seen(_REGISTER, float(at is not None)) for at in failed]


def _register_unsealed(_now: datetime) -> list[Seen]:
    """Seconds; it grows while the sealer does not work, or waits for a number that never comes."""
    return [Seen(_REGISTER, lag_seconds())]


STANDINGS: dict[str, Callable[[datetime], list[Seen]]] = {
    "replicas_not_ready": _replicas_not_ready,
    "replica_crash_looping": _crash_looping,
    "key_days_left": _key_days_left,
    "quota_use": _quota_use,
    "register_unsealed": _register_unsealed,
    "register_unverified": _register_unverified,
}
"""by metric; those that no part of this installation tells are missing"""
