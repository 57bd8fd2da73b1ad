"""Looking after the register's table."""

from celery import shared_task
from django.conf import settings
from django.utils import timezone

from audit import body_partitions
from audit.partitions import ensure_partitions
from audit.rolling import verify_next
from controlplane.database_rights import owner_alias
from controlplane.models import ReleasedText
from workers import sealing  # noqa: F401 - begins when the worker does
from workers.body_retention import drop_old_bodies
from workers.register_retention import retire_due


@shared_task
def verify_register() -> None:
    """Verify the next slice of the register."""
    verify_next(timezone.now())


@shared_task
def make_partitions() -> None:
    """Make the partitions of the coming months, as the owner of the register's table."""
    ensure_partitions(timezone.now(), owner_alias())
    body_partitions.ensure(timezone.now(), owner_alias())


@shared_task
def retire_months() -> None:
    """Go on with months of the register that are old enough to stand in the archive alone."""
    retire_due(timezone.now())


@shared_task
def drop_bodies() -> None:
    """Drop contents that are older than they are kept for, and released texts whose time is over."""
    ReleasedText.objects.filter(until__lte=timezone.now()).delete()
    drop_old_bodies(days=settings.BODIES_DAYS, now=timezone.now())
