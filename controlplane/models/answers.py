"""What the management API answered to a request with an Idempotency-Key, kept for a day."""

from django.db import models
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from inference.contract.ids import uuid7

from .sealed import SealedField


class RememberedAnswerQuerySet(models.QuerySet["RememberedAnswer"]):
    def expired(self) -> "RememberedAnswerQuerySet":
        """Answers that are given no more."""
        return self.filter(expires_at__lte=timezone.now())


class RememberedAnswer(models.Model):
    """One answer. The key is kept as a digest only, the body sealed: it may hold what is shown once."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    actor_type = models.CharField(max_length=20)
    actor_id = models.CharField(max_length=150)
    key_digest = models.CharField(max_length=64)
    fingerprint = models.CharField(max_length=64)
    """of the whole request: another one under the same key is refused"""
    status = models.PositiveSmallIntegerField()
    etag = models.CharField(max_length=64, blank=True)
    body = SealedField()
    expires_at = models.DateTimeField(db_index=True)

    objects = RememberedAnswerQuerySet.as_manager()

    class Meta:
        verbose_name = _("remembered answer")
        constraints = (
            models.UniqueConstraint(fields=("actor_type", "actor_id", "key_digest"), name="answer_once_a_key"),
        )

    def __str__(self) -> str:
        return f"{self.actor_type} {self.actor_id}: {self.status}"
