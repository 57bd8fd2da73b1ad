from argparse import ArgumentParser, ArgumentTypeError
from datetime import date
from typing import Any

from django.core.management.base import CommandError
from django.utils import timezone

from audit import months
from controlplane import archives
from controlplane.actions.retire_month import retire_month
from controlplane.management.command import Result, ScriptCommand


def month(text: str) -> date:
    """``2026-01``."""
    if (found := archives.first_of(text)) is None:
        raise ArgumentTypeError(f"{text} is no month such as 2026-01")
    return found


class Command(ScriptCommand):
    takes_reason = True
    help = "Order that a month of the register is exported into the archive and dropped. Without a month: lists them."

    def add_own_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("month", type=month, nargs="?", metavar="YYYY-MM")
        parser.add_argument("--dry-run", action="store_true", help="only say what is against it")

    def answer(self, *, month: date | None, dry_run: bool, reason: str, **_: Any) -> Result:
        now = timezone.now()
        if month is None:
            found = archives.every(now)
            return Result("\n".join(map(_line, found)), {"months": [_data(it) for it in found]})
        if month not in months.existing():
            raise CommandError(f"The register has no month {month:%Y-%m}.")
        if not dry_run:
            retire_month(month, actor=self.actor, reason=reason)
        one = archives.judged(month, now, thoroughly=dry_run)
        return Result(_line(one), _data(one))


def _line(one: archives.Month) -> str:
    if one.retirement:
        return f"{one}: dropped, stands in {one.retirement.export} (event {one.retirement.event})"
    return f"{one}: stays, {', '.join(one.refusals)}" if one.refusals else f"{one}: a worker drops it"


def _data(one: archives.Month) -> dict[str, Any]:
    return {
        "month": str(one), "kept_because": list(one.refusals), "holds": list(one.holds),
        "export": one.archive, "dropped": one.retirement is not None,
    }  # fmt: skip
