"""What the guard counted and no window holds any more."""

from celery import shared_task
from django.utils import timezone

from controlplane import guard


@shared_task
def forget_acts() -> None:
    """Delete it."""
    guard.forget(timezone.now())
