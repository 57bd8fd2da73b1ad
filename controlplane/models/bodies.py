"""The keys that contents of requests and answers are encrypted to, and what auditors may see of it all in SQL."""

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from .access import Project
from .base import Noun
from .sealed import SealedField


class BodyKey(Noun):
    """A key pair of one person in one project. Gateways know the public half; without the private one nothing opens."""

    project = models.ForeignKey(Project, models.PROTECT, related_name="body_keys", verbose_name=_("project"))
    person = models.CharField(_("person"), max_length=150, help_text=_("Who made the API keys it is used for."))
    public = models.BinaryField(max_length=32, editable=False)
    private = SealedField()
    """empty once it was shredded"""
    shredded_at = models.DateTimeField(_("erased"), null=True, blank=True, editable=False)

    class Meta:
        ordering = ("-id",)
        constraints = (
            models.UniqueConstraint(
                fields=("project", "person"), condition=Q(shredded_at=None), name="one_body_key_a_person"
            ),
        )
        verbose_name = _("content key")
        verbose_name_plural = _("content keys")

    def __str__(self) -> str:
        return f"{self.person} ({self.project_id})"


class ReleasedText(Noun):
    """A masked text that somebody laid open for auditors' SQL tools, for a while: the view `ai_audit_log` shows it."""

    key = models.ForeignKey(BodyKey, models.CASCADE, related_name="released")
    event_id = models.UUIDField()
    side = models.CharField(max_length=6)
    text = models.TextField()
    until = models.DateTimeField()

    class Meta:
        constraints = (models.UniqueConstraint(fields=("event_id", "side"), name="one_released_text_a_side"),)
        verbose_name = _("released text")
        verbose_name_plural = _("released texts")

    def __str__(self) -> str:
        return f"{self.event_id}/{self.side}"


class SqlReader(Noun):
    """A role of the database that the view `ai_audit_log` shows a project to; without a project: the whole register."""

    role = models.CharField(_("database role"), max_length=63)
    project = models.ForeignKey(Project, models.PROTECT, null=True, blank=True, verbose_name=_("project"))

    class Meta:
        constraints = (
            models.UniqueConstraint(fields=("role", "project"), nulls_distinct=False, name="sql_reader_once"),
        )
        verbose_name = _("SQL reader")
        verbose_name_plural = _("SQL readers")

    def __str__(self) -> str:
        return self.role
