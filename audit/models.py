"""The register as Django reads it. Its columns are those of `inference.contract.events.Event`; a test compares them.

Nothing writes through this model: `audit.record` and the gateway's COPY are the writers.
"""

from django.db import models
from django.utils.translation import gettext_lazy as _

from audit.seal_models import Checkpoint, Hold, Retirement, Seal, SealerLease, Verification, Writer
from inference.contract.ids import uuid7

__all__ = ["Checkpoint", "Event", "Hold", "Retirement", "Seal", "SealerLease", "Verification", "Writer"]


class Event(models.Model):
    """One entry of the 5W1H register. The table is partitioned by month of `at` (see the first migration)."""

    class Kind(models.TextChoices):
        INTENT = "intent", _("Intent")
        OUTCOME = "outcome", _("Outcome")
        MANAGEMENT = "management", _("Management")
        SECURITY = "security", _("Security")
        SYSTEM = "system", _("System")

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    kind = models.TextField(_("kind"), choices=Kind.choices)
    operation = models.TextField(_("operation"))
    project = models.TextField(_("project"), blank=True)
    request_id = models.TextField(_("request id"), blank=True)
    parent_id = models.UUIDField(_("parent"), null=True, blank=True)
    writer = models.TextField(_("writer"), blank=True)
    writer_seq = models.BigIntegerField(_("writer's counter"), default=0)
    actor_type = models.TextField(_("actor type"))
    actor_id = models.TextField(_("actor id"), blank=True)
    actor_name = models.TextField(_("actor"), blank=True)
    auth_method = models.TextField(_("signed in by"), blank=True)
    target_type = models.TextField(_("target type"), blank=True)
    target_id = models.TextField(_("target id"), blank=True)
    target_name = models.TextField(_("target"), blank=True)
    changes = models.JSONField(_("changes"), null=True, blank=True)
    at = models.DateTimeField(_("time"))
    started_at = models.DateTimeField(_("started"), null=True, blank=True)
    ended_at = models.DateTimeField(_("ended"), null=True, blank=True)
    source_ip = models.GenericIPAddressField(_("address"), null=True, blank=True)
    host = models.TextField(_("host"), blank=True)
    region = models.TextField(_("region"), blank=True)
    replica = models.TextField(_("replica"), blank=True)
    reason = models.TextField(_("reason"), blank=True)
    ticket = models.TextField(_("ticket"), blank=True)
    source = models.TextField(_("source"), blank=True)
    client = models.TextField(_("client"), blank=True)
    route = models.TextField(_("route"), blank=True)
    model_version = models.TextField(_("model version"), blank=True)
    detail = models.JSONField(_("detail"), null=True, blank=True)
    input_digest = models.BinaryField(_("digest of the input"), null=True, blank=True)
    output_digest = models.BinaryField(_("digest of the output"), null=True, blank=True)
    prompt_tokens = models.IntegerField(_("prompt tokens"), null=True, blank=True)
    completion_tokens = models.IntegerField(_("completion tokens"), null=True, blank=True)
    status = models.TextField(_("status"), blank=True)
    status_code = models.IntegerField(_("status code"), null=True, blank=True)

    class Meta:
        db_table = "audit_event"
        ordering = ("-at", "-id")
        verbose_name = _("event")
        verbose_name_plural = _("events")
        default_permissions = ("view",)

    def __str__(self) -> str:
        return f"{self.at:%Y-%m-%d %H:%M:%S} {self.operation}"
