"""Who is scraped: engines that run, the gateways, and GPU exporters where there are any."""

import ssl
from dataclasses import dataclass, field

from django.conf import settings

from controlplane import engine_tls
from controlplane.lifecycle import ReplicaState
from controlplane.models import Replica

_RUNNING = (ReplicaState.READY, ReplicaState.UNHEALTHY)


@dataclass(frozen=True)
class Target:
    """One ``/metrics``. `kind` is one of `vocabulary.TELL`."""

    kind: str
    name: str
    url: str
    deployment: str = ""
    replica: str = ""
    trust: ssl.SSLContext | None = field(default=None, repr=False)
    """for https; None: as the machine does"""


def targets() -> list[Target]:
    """All of them now, from one query."""
    running = Replica.objects.filter(state__in=_RUNNING, deployment__deleted_at=None).exclude(url="")
    engines = [_engine(replica) for replica in running.select_related("deployment").order_by("name")]
    gateways = [Target("gateway", url, url) for url in settings.SCRAPE_GATEWAYS]
    return [*engines, *gateways, *(Target("gpu", url, url) for url in settings.SCRAPE_GPUS)]


def _engine(replica: Replica) -> Target:
    deployment = replica.deployment
    trust = None
    if replica.url.startswith("https:"):
        trust = engine_tls.context(deployment.tls_ca, verify=deployment.tls_verify)
    return Target(
        "engine", replica.name, replica.url.rstrip("/") + "/metrics", deployment.name, replica.name, trust
    )  # fmt: skip
