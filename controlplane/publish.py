"""Publishing the gateway's tables to Redis: after a commit, and in full by the workers' periodic pass.

A lost message costs seconds, never truth: the tables themselves stand in Redis, and the full publish renews them.
"""

import logging
import secrets
from collections import defaultdict
from collections.abc import Iterable
from datetime import timedelta
from functools import cache

from django.conf import settings
from django.db.models import Prefetch, Q, QuerySet
from django.utils import timezone
from redis import Redis
from redis.backoff import NoBackoff
from redis.client import Pipeline
from redis.exceptions import RedisError
from redis.retry import Retry

from controlplane import body_keys, route_rules, route_timeouts
from controlplane.access import scope
from controlplane.lifecycle import ReplicaState
from controlplane.models import ApiKey, Deployment, Limit, ModelVersion, Project, Replica, Route
from controlplane.models.deployments import Flavour
from controlplane.sealing import Unopenable, reveal
from inference.contract import budgets, limits, tables
from inference.contract.engine_keys import EngineKeys
from inference.contract.keys import engine_key

logger = logging.getLogger(__name__)

KEYS_A_BATCH = 5_000
LONGEST_ACTION = timedelta(seconds=60)


@cache
def redis_client() -> Redis:
    """The process's client; redis-py's pool makes it safe to share between threads."""
    return client_of(settings.REDIS_URL)


def client_of(url: str) -> Redis:
    """A new client.

    One more try at once mends a connection that a restarted Redis had cut. Further ones would hold up whoever waits for
    an action or a probe for seconds, as redis-py's own do: what was not said now is said by the next full pass.
    """
    retry = Retry(NoBackoff(), 1)
    return Redis.from_url(url, socket_timeout=5, socket_connect_timeout=2, retry=retry)


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


def _keys() -> QuerySet[ApiKey]:
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


def _announce(pipeline: Pipeline, kind: str, key_id: str = "") -> None:
    pipeline.xadd(tables.CHANGES, {"kind": kind, "id": key_id}, maxlen=tables.CHANGES_KEPT, approximate=True)


def publish_routes() -> None:
    """Write the route table and announce it, if it differs from what Redis holds. Redis down is logged, not raised."""
    _publish_value(tables.ROUTES, encoded_route_table(), tables.CHANGE_ROUTES)


def publish_limits() -> None:
    """Write the limits of projects and routes and announce them, if they differ from what Redis holds."""
    _publish_value(limits.TABLE, limits.encode(limit_table()), tables.CHANGE_LIMITS)


def _publish_value(name: str, payload: bytes, kind: str) -> None:
    try:
        client = redis_client()
        if client.get(name) == payload:
            return
        with client.pipeline() as pipeline:
            pipeline.set(name, payload)
            _announce(pipeline, kind)
            pipeline.execute()
    except RedisError as exc:
        logger.warning("%s not published, the periodic pass will: %s", kind, exc)


@scope.everything()
def publish_key(key: ApiKey) -> None:
    """Write one key as it now is, or take it out when it may not be used any more, and announce it."""
    key = _keys().get(pk=key.pk)
    try:
        with redis_client().pipeline() as pipeline:
            if key.usable:
                pipeline.hset(tables.KEYS, key.key_id, tables.encode(key_entry(key)))
            else:
                pipeline.hdel(tables.KEYS, key.key_id)
            _announce(pipeline, tables.CHANGE_KEY, key.key_id)
            pipeline.execute()
    except RedisError as exc:
        logger.warning("key %s not published, the periodic pass will: %s", key.key_id, exc)


@scope.everything()
def publish_keys_of(project: Project) -> None:
    """Write the keys of a project anew: some of what they tell stands in the project."""
    for key in ApiKey.objects.usable().filter(project=project).select_related("project").iterator(KEYS_A_BATCH):
        publish_key(key)


@scope.everything()
def publish_all() -> None:
    """Write everything anew under a new generation. Raises `RedisError` when Redis is away.

    Keys are built in a second hash that takes the place of the first in one step, so no gateway sees half of them.
    """
    client = redis_client()
    begun = timezone.now()
    fresh = tables.KEYS + ".new"
    client.delete(fresh)
    for batch in _in_batches(_keys().filter(pk__in=ApiKey.objects.usable()).iterator(KEYS_A_BATCH)):
        owners = body_keys.published(batch)
        client.hset(fresh, mapping={key.key_id: tables.encode(key_entry(key, owners)) for key in batch})
    with client.pipeline() as pipeline:
        if client.exists(fresh):
            pipeline.rename(fresh, tables.KEYS)
        else:
            pipeline.delete(tables.KEYS)
        pipeline.set(tables.ROUTES, encoded_route_table())
        pipeline.set(limits.TABLE, limits.encode(limit_table()))
        pipeline.set(tables.GENERATION, secrets.token_hex(8))
        _announce(pipeline, tables.CHANGE_ALL)
        pipeline.execute()
    # A key that changed while the new hash was being filled was written to the old one: write it once more.
    changed = Q(updated_at__gte=begun - LONGEST_ACTION) | Q(limits__updated_at__gte=begun - LONGEST_ACTION)
    for key in ApiKey.objects.filter(changed).distinct():
        publish_key(key)


def _in_batches(keys: Iterable[ApiKey]) -> Iterable[list[ApiKey]]:
    batch: list[ApiKey] = []
    for key in keys:
        batch.append(key)
        if len(batch) == KEYS_A_BATCH:
            yield batch
            batch = []
    if batch:
        yield batch


def published() -> bool:
    """True when Redis holds a full set of tables: False after it was wiped. Raises `RedisError` when it is away."""
    return bool(redis_client().exists(tables.GENERATION))
