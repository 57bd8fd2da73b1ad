"""Who has done how much of what is watched, and who is suspended for it."""

from datetime import datetime

from django.db import models
from django.utils.translation import gettext_lazy as _

from audit.watch import Rule
from inference.contract.ids import uuid7

from .base import Noun


class WatchedAct(models.Model):
    """One act that counts, written in the transaction of the act itself."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    actor_type = models.CharField(max_length=20)
    actor_id = models.CharField(max_length=64)
    rule = models.CharField(max_length=20)
    at = models.DateTimeField()
    weight = models.BigIntegerField()

    class Meta:
        indexes = [models.Index(fields=["actor_type", "actor_id", "rule", "at"], name="watched_act")]


class SuspensionQuerySet(models.QuerySet["Suspension"]):
    def active(self, now: datetime) -> "SuspensionQuerySet":
        return self.filter(lifted_at=None, until__gt=now)


class Suspension(Noun):
    """Somebody may do nothing until it ends or is lifted."""

    actor_type = models.CharField(max_length=20)
    actor_id = models.CharField(max_length=64)
    actor_name = models.CharField(_("who"), max_length=150)
    rule = models.CharField(_("rule"), max_length=20, choices=[(it.value, it.value) for it in Rule])
    count = models.BigIntegerField(_("counted"))
    most = models.BigIntegerField(_("at most"))
    window_seconds = models.IntegerField(_("within seconds"))
    until = models.DateTimeField(_("until"))
    lifted_at = models.DateTimeField(_("lifted"), null=True)
    lifted_by = models.CharField(_("lifted by"), max_length=150, blank=True)

    objects = SuspensionQuerySet.as_manager()

    class Meta:
        ordering = ("-id",)
        verbose_name = _("suspension")
        verbose_name_plural = _("suspensions")
        indexes = [models.Index(fields=["actor_type", "actor_id", "until"], name="suspension_of")]

    def __str__(self) -> str:
        return f"{self.actor_name} ({self.rule})"
