"""Months of the register on their way into the archive: which there are, how far their exports are, what is against
dropping them.
"""

import re
from datetime import date, datetime
from enum import StrEnum
from typing import NamedTuple

from django.conf import settings

from audit import archive, months
from audit.exporting import wall
from audit.models import Retirement
from audit.retention import Refusal, refusals
from controlplane.lifecycle import ExportState
from controlplane.models import Export

LIVE = (ExportState.PENDING, ExportState.RUNNING, ExportState.DONE)


MONTH = "[0-9]{4}-(0[1-9]|1[0-2])"


def first_of(text: str) -> date | None:
    """The first day of ``2026-01``; None for what is no month."""
    if not re.fullmatch(MONTH, text) or text.startswith("0000"):
        return None
    return date(int(text[:4]), int(text[5:]), 1)


class Way(StrEnum):
    """How far a month is on its way out of the register."""

    KEPT = "kept"
    ARCHIVING = "archiving"
    READY = "ready"
    DROPPED = "dropped"


class Month(NamedTuple):
    """A month, and why it stays; no reason when it may go. `retirement` is there once it is gone."""

    first: date
    export: Export | None
    refusals: list[Refusal]
    holds: tuple[str, ...] = ()
    retirement: Retirement | None = None

    def __str__(self) -> str:
        return f"{self.first:%Y-%m}"

    @property
    def state(self) -> Way:
        if self.retirement:
            return Way.DROPPED
        if not self.refusals:
            return Way.READY
        return Way.ARCHIVING if self.refusals == [Refusal.EXPORT_UNFINISHED] else Way.KEPT

    @property
    def archive(self) -> str:
        """The name of its export's files; empty when there are none."""
        return self.retirement.export if self.retirement else str(self.export or "")

    @property
    def sha256(self) -> str:
        """Of the export's compressed file; empty when there is none."""
        found = self.retirement or self.export
        return found.sha256 if found else ""


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
    return _judged([month], now, thoroughly=thoroughly)[0]


def _judged(there: list[date], now: datetime, *, thoroughly: bool = False) -> list[Month]:
    exports = {export.month: export for export in Export.objects.filter(month__in=there, state__in=LIVE)}
    faults = {month: fault_of(exports.get(month), thoroughly=thoroughly) for month in there}
    has_archive = settings.ARCHIVE_DIR is not None
    with wall(""):
        register = months.register(now)
        facts = {it: months.facts_of(it, register, has_archive=has_archive, export=faults[it]) for it in there}
    return [
        Month(it, exports.get(it), refusals(it, facts[it], now=now, days=settings.RETENTION_DAYS), facts[it].holds)
        for it in there
    ]


def every(now: datetime) -> list[Month]:
    """All that are there or were dropped, ascending; those that have not begun aside."""
    gone = {one.month: Month(one.month, None, [], retirement=one) for one in Retirement.objects.all()}
    there = [month for month in months.existing() if month <= now.date() and month not in gone]
    return sorted([*gone.values(), *_judged(there, now)], key=lambda it: it.first)
