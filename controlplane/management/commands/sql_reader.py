from argparse import ArgumentParser
from typing import Any

from django.core.management.base import CommandError
from django.db import connections
from psycopg import sql

from controlplane.actions.admit_sql_reader import admit_sql_reader
from controlplane.actions.dismiss_sql_reader import dismiss_sql_reader
from controlplane.database_rights import owner_alias
from controlplane.management.command import Result, ScriptCommand
from controlplane.models import Project, SqlReader


class Command(ScriptCommand):
    takes_reason = True
    help = "Let a role of the database read the view ai_audit_log: a project's rows, or all of the register."

    def add_own_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("role", metavar="ROLE", help="it must exist: CREATE ROLE … LOGIN is yours")
        parser.add_argument("--project", help="its name; without: all rows")
        parser.add_argument("--remove", action="store_true", help="show it no more")

    def answer(self, *, role: str, project: str | None, remove: bool, reason: str, **_: Any) -> Result:
        of = Project.objects.filter(name=project).first() if project else None
        if project and of is None:
            raise CommandError(f"There is no project {project}.")
        if remove:
            reader = SqlReader.objects.filter(role=role, project=of).first()
            if reader is None:
                raise CommandError(f"{role} is no reader of that.")
            dismiss_sql_reader(reader, actor=self.actor, reason=reason)
            return Result(f"{role} sees no more of it.", {"role": role, "project": project})
        admit_sql_reader(role, of, actor=self.actor, reason=reason)
        with connections[owner_alias()].cursor() as cursor:
            cursor.execute(sql.SQL("GRANT SELECT ON ai_audit_log TO {}").format(sql.Identifier(role)))
        return Result(f"{role} may read ai_audit_log.", {"role": role, "project": project})
