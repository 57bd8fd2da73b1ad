"""Exports of the register: who asked for what, and how far it is."""

from datetime import datetime

from django.conf import settings
from django.db import models
from django.utils.translation import gettext_lazy as _

from audit.export_files import Files, Sizes
from audit.exporting import Format, Place
from audit.finding import Selection
from controlplane.lifecycle import ExportState

from .access import Project
from .base import Noun


class Export(Noun):
    """What is asked for is written by an action, progress by the worker that holds the lease."""

    project = models.ForeignKey(
        Project, models.PROTECT, null=True, blank=True, related_name="exports", verbose_name=_("project")
    )
    """whose rows alone it may hold; None: of all"""
    format = models.CharField(_("format"), max_length=8, choices=[(it.value, it.value) for it in Format])
    bom = models.BooleanField(_("for Excel"), default=False)
    selection = models.JSONField(_("filter"), default=dict)
    requester_type = models.CharField(max_length=20)
    requester_id = models.CharField(max_length=64)
    requester_name = models.CharField(_("asked for by"), max_length=150)
    state = models.CharField(_("state"), max_length=12, choices=ExportState.choices, default=ExportState.PENDING)
    problem = models.TextField(_("what is in the way"), blank=True)
    """a name, of the last attempt; empty when all is well"""
    rows = models.BigIntegerField(_("entries"), default=0)
    bytes = models.BigIntegerField(_("bytes"), default=0)
    leaves_bytes = models.BigIntegerField(default=0)
    numbers_bytes = models.BigIntegerField(default=0)
    begins_at = models.DateTimeField(null=True)
    last_at = models.DateTimeField(null=True)
    last_id = models.UUIDField(null=True)
    epoch = models.IntegerField(default=0)
    """counts the workers that had it: what an earlier one says is not heard any more"""
    lease_until = models.DateTimeField(null=True)
    sha256 = models.CharField(max_length=64, blank=True)
    unsealed = models.BigIntegerField(default=0)
    finished_at = models.DateTimeField(_("finished"), null=True)
    expires_at = models.DateTimeField(_("kept until"), null=True)
    month = models.DateField(_("archive of the month"), null=True)
    """its first day, where this is what the month is kept in once the register has dropped it: it never ends"""

    class Meta:
        ordering = ("-id",)
        verbose_name = _("export")
        verbose_name_plural = _("exports")
        constraints = [
            models.UniqueConstraint(
                fields=["month"],
                condition=models.Q(state__in=("pending", "running", "done")),
                name="one_archive_a_month",
            )
        ]

    def __str__(self) -> str:
        if self.month:
            return f"register-month-{self.month:%Y-%m}-{self.pk.hex[-6:]}"
        return f"register-{self.created_at:%Y%m%d-%H%M%S}-{self.pk.hex[-6:]}"

    @property
    def selected(self) -> Selection:
        return Selection.from_plain(self.selection)

    @property
    def whole(self) -> Sizes:
        return Sizes(self.bytes, self.leaves_bytes, self.numbers_bytes)

    @property
    def place(self) -> Place | None:
        return Place(self.last_at, self.last_id) if self.last_at and self.last_id else None

    @property
    def progress(self) -> int:
        """Per cent of the time range that is written."""
        if self.state == ExportState.DONE:
            return 100
        until = self.selected.until
        if self.begins_at is None or self.last_at is None or until is None or until <= self.begins_at:
            return 0
        return max(0, min(99, int(100 * (self.last_at - self.begins_at) / (until - self.begins_at))))

    def is_asked_for_by(self, kind: str, key: str) -> bool:
        return (self.requester_type, self.requester_id) == (kind, key)

    def is_kept(self, now: datetime) -> bool:
        """Whether its files can be fetched."""
        if self.state != ExportState.DONE:
            return False
        return self.month is not None or (self.expires_at is not None and now < self.expires_at)

    @property
    def files(self) -> Files:
        """Where it is written: an archive of a month lies where nothing is deleted."""
        directory = (settings.ARCHIVE_DIR if self.month else None) or settings.EXPORTS_DIR
        return Files(directory, str(self), Format(self.format))
