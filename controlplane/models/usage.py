"""What was used, rolled up by day from the register's outcomes (`workers.tasks.usage`, its only writer)."""

from django.db import models
from django.utils.translation import gettext_lazy as _

from .access import Project
from .base import Noun


class Usage(Noun):
    """Requests of one key to one route, answered by one model version on one day of the instance's time zone.

    Names are copied as the register has them, so that a row outlives what it names. Cost is counted when the row is
    rolled up, seconds after the request: a price that changes later changes no day that is over.
    """

    day = models.DateField(_("day"))
    project = models.ForeignKey(Project, models.DO_NOTHING, null=True, db_constraint=False, verbose_name=_("project"))
    project_name = models.TextField(_("project"))
    key_id = models.TextField(_("key"))
    key_name = models.TextField(_("name of the key"))
    """as it was last"""
    route = models.TextField(_("route"))
    version = models.TextField(_("model version"))
    """model:version; empty when no engine was reached"""
    requests = models.BigIntegerField(_("requests"))
    failed = models.BigIntegerField(_("failed"))
    """of them, those that did not end well; a client that left is none"""
    prompt_tokens = models.BigIntegerField(_("prompt tokens"))
    completion_tokens = models.BigIntegerField(_("completion tokens"))
    cost_micros = models.BigIntegerField(_("cost"))

    class Meta:
        ordering = ("-day", "-id")
        constraints = (
            models.UniqueConstraint(
                fields=("day", "project_name", "key_id", "route", "version"), name="usage_once_a_day"
            ),
        )
        indexes = (
            models.Index(fields=("day", "id"), name="usage_day"),
            models.Index(fields=("project", "day", "id"), name="usage_project"),
        )
        verbose_name = _("usage")
        verbose_name_plural = _("usage")
        default_permissions = ("view",)

    def __str__(self) -> str:
        return f"{self.day} {self.project_name} {self.key_id} {self.route} {self.version}"


class UsageProgress(models.Model):
    """The one row that says how far the register is rolled up."""

    seal = models.BigIntegerField(default=0)
    """the number of the last seal whose entries are counted"""
    at = models.DateTimeField(null=True)
    """when that was"""

    class Meta:
        default_permissions = ()

    def __str__(self) -> str:
        return str(self.seal)
