"""Months of the register on their way into the archive: which there are, how far their exports are, what is against
dropping them.
"""

from datetime import date, datetime
from typing import NamedTuple

from django.conf import settings

from audit import archive, months
from audit.exporting import wall
from audit.models import Retirement
from audit.retention import Refusal, refusals
from controlplane.lifecycle import ExportState
from controlplane.models import Export

LIVE = (ExportState.PENDING, ExportState.RUNNING, ExportState.DONE)


class Month(NamedTuple):
    """A month, and why it stays; no reason when it may go. `retirement` is there once it is gone."""

    first: date
    export: Export | None
    refusals: list[Refusal]
    holds: tuple[str, ...] = ()
    retirement: Retirement | None = None

    def __str__(self) -> str:
        return f"{self.first:%Y-%m}"


def export_of(month: date) -> Export | None:
    """The one that is to be kept in its place."""
    return Export.objects.filter(month=month, state__in=LIVE).first()


def fault_of(export: Export | None, *, thoroughly: bool) -> Refusal | None:
    """What is wrong with it; None when it can stand for its month. Thoroughly is to read all of it."""
    if export is None:
        return Refusal.NOT_EXPORTED
    if export.state != ExportState.DONE:
        return Refusal.EXPORT_UNFINISHED
    if not thoroughly:
        there = export.files.content.exists() and export.files.manifest.exists()
        return None if there else Refusal.EXPORT_MISSING
    found = archive.inspect(export.files, export.sha256)
    if isinstance(found, Refusal):
        return found
    return None if found.rows == export.rows else Refusal.EXPORT_INCOMPLETE


def judged(month: date, now: datetime, *, thoroughly: bool = False) -> Month:
    """One month that is still there."""
    export = export_of(month)
    fault = fault_of(export, thoroughly=thoroughly)
    has_archive = settings.ARCHIVE_DIR is not None
    with wall(""):
        facts = months.facts_of(month, now=now, has_archive=has_archive, export=fault)
    return Month(month, export, refusals(month, facts, now=now, days=settings.RETENTION_DAYS), facts.holds)


def known() -> frozenset[date]:
    """First days of the months that are in the register."""
    return frozenset(months.existing())


def every(now: datetime) -> list[Month]:
    """All that are there or were dropped, ascending; those that have not begun aside."""
    gone = [Month(one.month, None, [], (), one) for one in Retirement.objects.all()]
    known = {one.first for one in gone}
    there = [month for month in months.existing() if month <= now.date() and month not in known]
    return sorted([*gone, *(judged(month, now) for month in there)], key=lambda it: it.first)
