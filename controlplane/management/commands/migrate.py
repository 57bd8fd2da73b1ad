"""Django's ``migrate``, as the tables' owner where ``DATABASE_OWNER_URL`` names one."""

from typing import Any

from django.core.management.base import CommandParser
from django.core.management.commands.migrate import Command as DjangosMigrate

from controlplane.access import scope
from controlplane.database_rights import owner_alias


class Command(DjangosMigrate):
    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.set_defaults(database=owner_alias())

    def handle(self, *args: Any, **options: Any) -> None:
        scope.see_all()  # a migration of data has to meet every row
        super().handle(*args, **options)
