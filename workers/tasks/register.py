"""Looking after the register's table."""

from celery import shared_task
from django.utils import timezone

from audit.partitions import ensure_partitions


@shared_task
def make_partitions() -> None:
    """Make the partitions of the coming months."""
    ensure_partitions(timezone.now())
