from argparse import ArgumentParser
from typing import Any

from django.core.management.base import CommandError

from controlplane.actions.erase_bodies import erase_bodies
from controlplane.management.command import Result, ScriptCommand
from controlplane.models import Project


class Command(ScriptCommand):
    takes_reason = True
    help = "Destroy the key to all that is kept of a person's requests in a project. Nobody can bring it back."

    def add_own_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("person", metavar="PERSON", help="who made the API keys")
        parser.add_argument("--project", required=True, help="its name")

    def answer(self, *, person: str, project: str, reason: str, **_: Any) -> Result:
        found = Project.objects.filter(name=project).first()
        if found is None:
            raise CommandError(f"There is no project {project}.")
        erase_bodies(found, person=person, actor=self.actor, reason=reason)
        return Result(f"What was kept of {person} cannot be read any more.", {"person": person, "project": project})
