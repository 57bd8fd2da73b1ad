"""How the commands that scripts use behave: the result alone on standard output, one clear line on standard error."""

import json
from argparse import ArgumentParser, ArgumentTypeError
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db import OperationalError, ProgrammingError

from audit.record import Actor
from controlplane import actors
from controlplane.errors import Invalid, Refused
from controlplane.text import LONGEST_TICKET, composed, unusable_character

LONGEST_REASON = 500


@dataclass(frozen=True)
class Result:
    """What a command found or made: `text` for people and shells, `data` for ``--json``."""

    text: str
    data: dict[str, Any]
    exit_status: int = 0


class ScriptCommand(BaseCommand):
    """A command whose `answer` returns a `Result`, or raises what was refused.

    Refusals, an unreachable or unmigrated database and `CommandError` end it with status 1 and one line, no traceback.
    """

    takes_reason = False
    """it changes something: ``--reason`` goes into the register with it"""
    requires_system_checks: list[str] = []  # `manage.py check` is a command of its own

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--json", action="store_true", help="print all that is known, as one JSON object")
        if self.takes_reason:
            parser.add_argument("--reason", type=reason, default="", help="why; goes into the audit register")
            parser.add_argument("--ticket", type=ticket, default="", help="the change or incident that it is done for")
        self.add_own_arguments(parser)

    def add_own_arguments(self, parser: ArgumentParser) -> None:
        """Overridden by commands that take arguments."""

    def answer(self, *args: Any, **options: Any) -> Result:
        """Subclasses name the options they take."""
        raise NotImplementedError

    @cached_property
    def actor(self) -> Actor:
        """Who changes something; only then it is asked for, as not every host knows the name of who runs it."""
        return actors.command_line(ticket=self._ticket)

    def handle(self, **options: Any) -> None:
        self._ticket = options.pop("ticket", "")
        result = _in_one_line(lambda: self.answer(**options))
        text = json.dumps(result.data, ensure_ascii=False, default=str) if options["json"] else result.text
        if text:
            self.stdout.write(text)
        if result.exit_status:
            raise SystemExit(result.exit_status)


def reason(text: str) -> str:
    """A reason as the register keeps it: one line that shows all it holds."""
    return _line(text, LONGEST_REASON)


def ticket(text: str) -> str:
    """The same of a ticket."""
    return _line(text.strip(), LONGEST_TICKET)


def _line(text: str, longest: int) -> str:
    if character := unusable_character(text):
        raise ArgumentTypeError(f"the character {character} is not allowed")
    if len(text) > longest:
        raise ArgumentTypeError(f"at most {longest} characters")
    return composed(text)


def _in_one_line(answer: Any) -> Result:
    try:
        result: Result = answer()
    except Refused as exc:
        field = f"{exc.field}: " if isinstance(exc, Invalid) and exc.field else ""
        raise CommandError(f"{field}{exc.message}") from exc
    except OperationalError as exc:
        raise CommandError(f"PostgreSQL does not answer ({_first_line(exc)}): is the instance up?") from exc
    except ProgrammingError as exc:
        raise CommandError(f"The database is not migrated ({_first_line(exc)}): run manage.py migrate.") from exc
    return result


def _first_line(exc: Exception) -> str:
    return str(exc).strip().partition("\n")[0]
