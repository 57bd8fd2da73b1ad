"""The month that runs, as if it were over long ago: sealed, signed and verified after its end."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date, timedelta
from pathlib import Path

from django.test import override_settings
from django.utils import timezone

from audit.models import Checkpoint, Verification
from tests.audit.seals import seal


@contextmanager
def old_month() -> Iterator[date]:
    late = timezone.now() + timedelta(days=40)
    seal(sweep=True)
    Verification.objects.update_or_create(pk=1, defaults={"last_round": late})
    Checkpoint.objects.create(number=1, signed_at=late, line="{}")
    with override_settings(RETENTION_DAYS=-40, ARCHIVE_DIR=Path("archive")):
        yield timezone.now().date().replace(day=1)
