"""What the gateway's tables hold, read from PostgreSQL. `controlplane.publish` writes them to Redis."""

import logging
from collections import defaultdict
from functools import cache

from django.conf import settings
from django.db.models import Prefetch, QuerySet

from controlplane import body_keys, route_rules, route_timeouts
from controlplane.lifecycle import ReplicaState
from controlplane.models import ApiKey, Deployment, Limit, ModelVersion, Replica, Route
from controlplane.models.deployments import Flavour
from controlplane.sealing import Unopenable, reveal
from inference.contract import budgets, limits, tables
from inference.contract.engine_keys import EngineKeys
from inference.contract.keys import engine_key

logger = logging.getLogger(__name__)


def route_table() -> tables.RouteTable:
    """All routes with their ready replicas, as the gateway reads them. Four queries, whatever the number of routes."""
    ready: dict[object, list[tables.ReplicaEntry]] = defaultdict(list)
    for replica in Replica.objects.filter(state=ReplicaState.READY).select_related("deployment").order_by("ordinal"):
        try:
            ready[replica.deployment_id].append(_replica_entry(replica))
        except Unopenable as exc:  # it would refuse the gateway
            logger.error("%s is not published: its key cannot be read. %s", replica.name, exc)  # noqa: TRY400
    routes = Route.objects.select_related("project").prefetch_related("targets__deployment__version__model")
    return tables.RouteTable(tuple(_route_entry(route, ready) for route in routes))


def encoded_route_table() -> bytes:
    """The route table as it lies in Redis: with the engines' keys sealed."""
    return tables.encode(_engine_keys().sealed(route_table()))


@cache
def _engine_keys() -> EngineKeys:
    return EngineKeys(settings.SECRET_KEY)


def _replica_entry(replica: Replica) -> tables.ReplicaEntry:
    external = replica.deployment.flavour == Flavour.EXTERNAL
    key = reveal(replica.deployment, "external_key") if external else engine_key(settings.SECRET_KEY, replica.name)
    return tables.ReplicaEntry(
        name=replica.name, url=replica.url, key=key,
        tls_ca=replica.deployment.tls_ca, tls_verify=replica.deployment.tls_verify,
    )  # fmt: skip


def _route_entry(route: Route, ready: dict[object, list[tables.ReplicaEntry]]) -> tables.RouteEntry:
    targets = [target for target in route.targets.all() if target.weight]
    lengths = [length for target in targets if (length := target.deployment.version.max_model_len)]
    return tables.RouteEntry(
        name=route.name,
        project=route.project.name if route.project else None,
        created=int(route.created_at.timestamp()),
        max_model_len=min(lengths, default=None),
        targets=tuple(
            _target_entry(target.deployment, target.weight, ready[target.deployment_id]) for target in targets
        ),
        rules=route_rules.read(route.rules),
        affinity_header=route.affinity_header,
        timeouts=route_timeouts.read(route.timeouts),
    )


def _target_entry(deployment: Deployment, weight: int, replicas: list[tables.ReplicaEntry]) -> tables.TargetEntry:
    return tables.TargetEntry(
        deployment=deployment.name,
        weight=weight,
        model=deployment.version.model.name,
        version=str(deployment.version),
        served_name=deployment.served_name,
        replicas=tuple(replicas),
    )


def limit_table() -> limits.LimitTable:
    """The limits of projects and routes as the gateway reads them, and all prices; those of keys ride with the keys."""
    found = Limit.objects.filter(api_key=None).select_related("project", "route__project").order_by("pk")
    return limits.LimitTable(tuple(_limit_entry(limit) for limit in found), _prices())


def encoded_limit_table() -> bytes:
    """The limit table as it lies in Redis."""
    return limits.encode(limit_table())


def _prices() -> dict[str, budgets.Price]:
    """Of the versions that cost something."""
    priced = ModelVersion.objects.exclude(prompt_price_micros=0, completion_price_micros=0).select_related("model")
    return {
        str(version): budgets.Price(version.prompt_price_micros, version.completion_price_micros)
        for version in priced.order_by("pk")
    }


def _limit_entry(limit: Limit) -> limits.LimitEntry:
    key, route = limit.api_key, limit.route
    tenant = key.project if key else limit.project
    owner = tenant or (route.project if route else None)
    return limits.LimitEntry(
        project=owner.name if owner else limits.PLATFORM,
        key=key.key_id if key else "",
        route=route.name if route else "",
        shared=tenant is None,
        requests_per_minute=limit.requests_per_minute,
        tokens_per_minute=limit.tokens_per_minute,
        concurrency=limit.concurrency,
        budgets=tuple(
            budgets.Budget(str(limit.pk), dimension, amount, settings.TIME_ZONE)
            for dimension in budgets.DIMENSIONS
            if (amount := getattr(limit, dimension)) is not None
        ),
    )


def keys() -> QuerySet[ApiKey]:
    """Keys with all that their entries tell, in two queries."""
    limits_of_keys = Limit.objects.select_related("api_key__project", "route").order_by("pk")
    return ApiKey.objects.select_related("project").prefetch_related(Prefetch("limits", limits_of_keys))


def key_entry(key: ApiKey, owners: dict[body_keys.Owner, str] | None = None) -> tables.KeyEntry:
    """A key with its limits, as the gateway reads it. `owners`: what the contents of whom are encrypted to."""
    owners = body_keys.published([key]) if owners is None else owners
    return tables.KeyEntry(
        id=key.key_id,
        digest=key.digest,
        project=key.project.name,
        name=key.name,
        routes=tuple(key.routes) if key.routes else None,
        expires=key.expires_at.timestamp() if key.expires_at else None,
        endpoints=tuple(key.endpoints) if key.endpoints else None,
        cidrs=tuple(key.cidrs) if key.cidrs else None,
        media_hosts=tuple(key.project.media_hosts),
        register_mode=key.project.register_mode,
        data_domain=key.project.data_domain,
        body_key=owners.get(body_keys.Owner(key.project_id, body_keys.person_of(key)), ""),
        previous_digest=key.previous_digest if key.overlapping else "",
        previous_expires=key.previous_expires_at.timestamp() if key.previous_expires_at else 0.0,
        limits=tuple(_limit_entry(limit) for limit in key.limits.all()),
    )
