from argparse import ArgumentParser
from typing import Any

from django.core.management.base import CommandError
from django.utils import timezone

from controlplane.actions.lift_suspension import lift_suspension
from controlplane.actions.unlock_user import unlock_user
from controlplane.management.command import Result, ScriptCommand
from controlplane.models import Suspension, User


class Command(ScriptCommand):
    takes_reason = True
    help = "Let somebody in at once who is locked out after too many failed attempts, or suspended by the guard."

    def add_own_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("username", metavar="USER")

    def answer(self, *, username: str, reason: str, **_: Any) -> Result:
        user = User.objects.filter(username=username).first()
        if user is None:
            raise CommandError(f"There is no user {username}.")
        actor, why = self.actor, reason or "manage.py unlock_user"
        unlock_user(user, actor=actor, reason=why)
        suspended = Suspension.objects.active(timezone.now()).filter(actor_type="user", actor_id=str(user.pk))
        for suspension in suspended:
            lift_suspension(suspension, actor=actor, reason=why)
        return Result(f"{username} may sign in.", {"user": username})
