from argparse import ArgumentParser
from typing import Any

from django.core.management.base import CommandError

from controlplane import actors
from controlplane.actions.unlock_user import unlock_user
from controlplane.management.command import Result, ScriptCommand
from controlplane.models import User


class Command(ScriptCommand):
    takes_reason = True
    help = "Let somebody sign in at once who is locked out after too many failed attempts."

    def add_own_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("username", metavar="USER")

    def answer(self, *, username: str, reason: str, **_: Any) -> Result:
        user = User.objects.filter(username=username).first()
        if user is None:
            raise CommandError(f"There is no user {username}.")
        unlock_user(user, actor=actors.command_line(), reason=reason or "manage.py unlock_user")
        return Result(f"{username} may sign in.", {"user": username})
