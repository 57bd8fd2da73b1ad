"""This machine's heartbeat: what it is made of, what is free, what runs on it."""

import logging
import platform
import socket
from dataclasses import asdict
from datetime import timedelta

from celery import shared_task
from django.utils import timezone

from controlplane.health import release
from controlplane.models import Node
from controlplane.models.deployments import Backend
from workers import fleet
from workers.backends.base import BackendError, Phase
from workers.machine import look

logger = logging.getLogger(__name__)

FORGET_AFTER = timedelta(days=7)


@shared_task
def write_node() -> None:
    """Write down this machine, and forget those that have been silent for long."""
    now, seen = timezone.now(), asdict(look())
    replicas, trouble = _replicas()
    Node.objects.update_or_create(
        name=socket.gethostname(),
        defaults=seen | {
            "backend": Backend.PROCESS, "versions": {"signalbox": release(), "python": platform.python_version()},
            "replicas": replicas, "message": "; ".join(filter(None, (seen["message"], trouble))), "last_seen_at": now,
        },
    )  # fmt: skip
    Node.objects.filter(last_seen_at__lt=now - FORGET_AFTER).delete()


def _replicas() -> tuple[list[str], str]:
    """Names of those that run here, and why they cannot be seen."""
    try:
        found = fleet.backend(Backend.PROCESS).observe()
    except BackendError as exc:
        return [], str(exc)
    return sorted(one.name for one in found if one.phase is not Phase.EXITED), ""
