"""Forgetting what was answered to requests with an Idempotency-Key."""

from celery import shared_task

from controlplane.models import RememberedAnswer


@shared_task
def forget_answers() -> None:
    """Delete what is older than a day, without loading it."""
    RememberedAnswer.objects.expired().delete()
