"""Exports of the register: one part after the other, and what is left of old ones."""

from celery import shared_task
from django.utils import timezone

from workers import exports


@shared_task(time_limit=exports.LONGEST_FINISH)
def write_exports() -> None:
    """Go on with the export that is due. A turn is short, but its end cannot be parted."""
    exports.write_next()


@shared_task
def delete_exports() -> None:
    """Delete the files of exports that nobody may fetch any more."""
    exports.delete_old(timezone.now())
