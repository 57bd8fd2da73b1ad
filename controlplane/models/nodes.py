"""Machines that engines run on."""

from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from django.db import models
from django.utils.translation import gettext_lazy as _

from .base import Noun
from .deployments import Backend

SILENT_AFTER = timedelta(seconds=60)
"""four heartbeats"""


class NodeState(models.TextChoices):
    """Whether a machine has told of itself lately."""

    READY = "ready", _("Ready")
    SILENT = "silent", _("Silent")


class Gpu(StrEnum):
    """What is known of each GPU, in `Node.gpus`: texts, bytes, percent, degrees Celsius; None is what is not told."""

    NAME = "name"
    UUID = "uuid"
    DRIVER = "driver"
    MEMORY_BYTES = "memory_bytes"
    MEMORY_USED_BYTES = "memory_used_bytes"
    UTILISATION = "utilisation"
    TEMPERATURE = "temperature"


class NodeQuerySet(models.QuerySet["Node"]):
    def in_state(self, state: str, now: datetime) -> "NodeQuerySet":
        """Those that are `ready` or `silent` at that moment."""
        latest = now - SILENT_AFTER
        return (
            self.filter(last_seen_at__gte=latest) if state == NodeState.READY else self.filter(last_seen_at__lt=latest)
        )


class Node(Noun):
    """A machine as its worker last saw it. Written by the workers' heartbeat only."""

    name = models.CharField(_("name"), max_length=253, unique=True)
    backend = models.CharField(_("backend"), max_length=20, choices=Backend.choices)
    system = models.CharField(_("system"), max_length=200, blank=True)
    cpu_cores = models.FloatField(_("CPU cores"), help_text=_("As far as its processes may use them."))
    load = models.FloatField(_("load"), null=True)
    """processes that ran or waited, on average of the last minute; None where the system does not count them"""
    memory_bytes = models.BigIntegerField(_("memory"))
    memory_available_bytes = models.BigIntegerField(_("memory available"))
    gpus: Any = models.JSONField(_("GPUs"), default=list)
    """one object each, as `Gpu` says"""
    versions: Any = models.JSONField(_("versions"), default=dict)
    """program -> version"""
    replicas: Any = models.JSONField(_("replicas"), default=list)
    """names of those that run here"""
    message = models.TextField(_("message"), blank=True)
    """what could not be seen, and why"""
    last_seen_at = models.DateTimeField(_("last seen"), db_index=True)

    objects = NodeQuerySet.as_manager()

    class Meta:
        ordering = ("name",)
        verbose_name = _("node")
        verbose_name_plural = _("nodes")

    def __str__(self) -> str:
        return self.name

    def state_at(self, now: datetime) -> NodeState:
        return NodeState.READY if now - self.last_seen_at <= SILENT_AFTER else NodeState.SILENT
