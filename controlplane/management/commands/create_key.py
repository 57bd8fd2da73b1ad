import re
from argparse import ArgumentParser, ArgumentTypeError
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from django.core.management.base import CommandError
from django.db import transaction
from django.utils import timezone

from controlplane.actions.bootstrap import PROJECT
from controlplane.actions.create_api_key import create_api_key
from controlplane.actions.set_limit import set_limit
from controlplane.management.command import Result, ScriptCommand
from controlplane.models import Project
from controlplane.models.limits import DIMENSIONS
from inference.contract.budgets import MICROS

_UNITS = {"d": "days", "h": "hours", "m": "minutes"}

_LIMITS = {
    "--rpm": "requests_per_minute",
    "--tpm": "tokens_per_minute",
    "--concurrency": "concurrency",
    "--budget-tokens-day": "tokens_per_day",
    "--budget-tokens-month": "tokens_per_month",
    "--budget-cost-day": "cost_micros_per_day",
    "--budget-cost-month": "cost_micros_per_month",
}


def duration(text: str) -> timedelta:
    """``90d``, ``12h`` or ``30m``."""
    match = re.fullmatch(r"([1-9][0-9]{0,6})([dhm])", text)
    if match is None:
        raise ArgumentTypeError(f"{text!r} is no duration: write 90d, 12h or 30m")
    return timedelta(**{_UNITS[match[2]]: int(match[1])})


def cost(text: str) -> int:
    """``12.50`` in micro-units."""
    if re.fullmatch(r"[0-9]{1,9}(\.[0-9]{1,6})?", text) is None:
        raise ArgumentTypeError(f"{text!r} is no cost: write 12 or 12.50, with at most six decimals")
    return int(Decimal(text) * MICROS)


class Command(ScriptCommand):
    takes_reason = True
    help = "Make a key for the gateway and print it; it is shown this once and stored nowhere."

    def add_own_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--project", default=PROJECT, metavar="P", help="the project it belongs to")
        parser.add_argument("--name", default="command line", metavar="N", help="what it is for")
        parser.add_argument("--routes", default="", metavar="A,B", help="the routes it may call; without: all it may")
        parser.add_argument("--endpoints", default="", metavar="A,B", help="what it may call; without: everything")
        parser.add_argument("--cidrs", default="", metavar="A,B", help="where it may be used from; without: anywhere")
        for option, what in _LIMITS.items():
            priced = what.startswith("cost")
            help_text = f"{what.replace('_micros', '').replace('_', ' ')} at most; without: unlimited"
            parser.add_argument(
                option, type=cost if priced else int, dest=what, metavar="12.50" if priced else "N", help=help_text
            )
        parser.add_argument("--expires", type=duration, metavar="90d", help="how long it lives; without: until revoked")

    def answer(
        self, *, project: str, name: str, routes: str, endpoints: str, cidrs: str, expires: timedelta | None,
        reason: str, **more: Any,
    ) -> Result:  # fmt: skip
        limits = {what: number for what in DIMENSIONS if (number := more[what]) is not None}
        actor = self.actor
        with transaction.atomic():
            key, token = create_api_key(
                project=_project(project), name=name, routes=_parts(routes), endpoints=_parts(endpoints),
                cidrs=_parts(cidrs), expires_at=_end(expires), actor=actor, reason=reason,
            )  # fmt: skip
            if limits:
                set_limit(api_key=key, **limits, actor=actor, reason=reason)
        data = {
            "key": token, "id": str(key.pk), "key_id": key.key_id, "project": project, "name": name,
            "routes": key.routes, "endpoints": key.endpoints, "cidrs": key.cidrs,
            "expires_at": key.expires_at.isoformat() if key.expires_at else None,
            "limits": limits,
        }  # fmt: skip
        return Result(token, data)


def _parts(text: str) -> list[str]:
    return [part for piece in text.split(",") if (part := piece.strip())]


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
