from argparse import ArgumentParser, ArgumentTypeError
from datetime import datetime
from typing import Any

from django.core.management.base import CommandError
from django.utils import timezone
from django.utils.dateparse import parse_datetime

from controlplane.actions.release_bodies import MOST_DAYS, release_bodies
from controlplane.management.command import Result, ScriptCommand
from controlplane.models import Project


def moment(text: str) -> datetime:
    """``2026-11-01`` or ``2026-11-01T08:00:00+08:00``; without an offset in the installation's zone."""
    try:
        found = parse_datetime(text) or datetime.fromisoformat(text)
    except ValueError:
        raise ArgumentTypeError(f"{text!r} is no time: write 2026-11-01 or 2026-11-01T08:00:00+08:00") from None
    return found if found.tzinfo else timezone.make_aware(found)


class Command(ScriptCommand):
    takes_reason = True
    help = "Lay a project's masked texts open in the view ai_audit_log for some days, for auditors' SQL tools."

    def add_own_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--project", required=True, help="its name")
        parser.add_argument("--since", type=moment, required=True, help="of requests from then")
        parser.add_argument("--until", type=moment, required=True, help="till then")
        parser.add_argument("--days", type=int, default=7, help=f"how long: 1 to {MOST_DAYS}")

    def answer(self, *, project: str, since: datetime, until: datetime, days: int, reason: str, **_: Any) -> Result:
        found = Project.objects.filter(name=project).first()
        if found is None:
            raise CommandError(f"There is no project {project}.")
        count = release_bodies(
            found, since=since, until=until, days=days, now=timezone.now(), actor=self.actor, reason=reason
        )
        return Result(f"{count} texts can be read for {days} days.", {"texts": count, "days": days})
