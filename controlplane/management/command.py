"""How the commands that scripts use behave: the result alone on standard output, one clear line on standard error."""

import json
from argparse import ArgumentParser, ArgumentTypeError
from dataclasses import dataclass, replace
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db import OperationalError, ProgrammingError

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

    def handle(self, **options: Any) -> None:
        self.actor = replace(actors.command_line(), ticket=options.pop("ticket", ""))
        result = _in_one_line(lambda: self.answer(**options))
        text = json.dumps(result.data, ensure_ascii=False, default=str) if options["json"] else result.text
        if text:
            self.stdout.write(text)
        if result.exit_status:
            raise SystemExit(result.exit_status)


def ticket(text: str) -> str:
    """The same of a ticket."""
    if len(text) > LONGEST_TICKET:
        raise ArgumentTypeError(f"at most {LONGEST_TICKET} characters")
    return reason(text.strip())


def reason(text: str) -> str:
    """A reason as the register keeps it: one line that shows all it holds."""
    if character := unusable_character(text):
        raise ArgumentTypeError(f"the character {character} is not allowed")
    if len(text) > LONGEST_REASON:
        raise ArgumentTypeError(f"at most {LONGEST_REASON} characters")
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
