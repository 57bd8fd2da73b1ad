import re
from argparse import ArgumentParser, ArgumentTypeError
from datetime import datetime, timedelta
from typing import Any

from django.core.management.base import CommandError
from django.utils import timezone

from controlplane import actors
from controlplane.actions.bootstrap import PROJECT
from controlplane.actions.create_api_key import create_api_key
from controlplane.management.command import Result, ScriptCommand
from controlplane.models import Project

_UNITS = {"d": "days", "h": "hours", "m": "minutes"}


def duration(text: str) -> timedelta:
    """``90d``, ``12h`` or ``30m``."""
    match = re.fullmatch(r"([1-9][0-9]{0,6})([dhm])", text)
    if match is None:
        raise ArgumentTypeError(f"{text!r} is no duration: write 90d, 12h or 30m")
    return timedelta(**{_UNITS[match[2]]: int(match[1])})


class Command(ScriptCommand):
    help = "Make a key for the gateway and print it; it is shown this once and stored nowhere."

    def add_own_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--project", default=PROJECT, metavar="P", help="the project it belongs to")
        parser.add_argument("--name", default="command line", metavar="N", help="what it is for")
        parser.add_argument("--routes", default="", metavar="A,B", help="the routes it may call; without: all it may")
        parser.add_argument("--expires", type=duration, metavar="90d", help="how long it lives; without: until revoked")

    def answer(self, *, project: str, name: str, routes: str, expires: timedelta | None, **_: Any) -> Result:
        names = [route for part in routes.split(",") if (route := part.strip())]
        key, token = create_api_key(
            project=_project(project), name=name, routes=names, expires_at=_end(expires), actor=actors.command_line()
        )
        data = {
            "key": token, "id": str(key.pk), "key_id": key.key_id, "project": project, "name": name,
            "routes": key.routes, "expires_at": key.expires_at.isoformat() if key.expires_at else None,
        }  # fmt: skip
        return Result(token, data)


def _end(expires: timedelta | None) -> datetime | None:
    try:
        return timezone.now() + expires if expires else None
    except OverflowError as exc:
        raise CommandError("That is further away than a calendar goes: choose a shorter --expires.") from exc


def _project(name: str) -> Project:
    project = Project.objects.filter(name=name).first()
    if project is None:
        names = ", ".join(Project.objects.values_list("name", flat=True)[:20])
        raise CommandError(
            f"There is no project {name}. " + (f"There are: {names}." if names else "Run `make up` first.")
        )
    return project
