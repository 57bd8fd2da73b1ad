"""The keys that contents of requests and answers are encrypted to."""

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
