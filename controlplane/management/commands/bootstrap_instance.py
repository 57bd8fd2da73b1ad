from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import CommandError
from django.db import transaction

from controlplane import actors
from controlplane.actions.bootstrap import bootstrap
from controlplane.actions.deploy_default_model import NAME
from controlplane.credentials import read_credentials, write_credentials
from controlplane.management.command import Result, ScriptCommand


class Command(ScriptCommand):
    help = "Make the default project, the administrator, a management token and an API key, and write them to a file."

    def add_own_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--credentials", type=Path, required=True, metavar="FILE", help="written with mode 0600")
        parser.add_argument("--model", default=NAME, help="the model name that the file suggests to clients")

    @transaction.atomic
    def answer(self, *, credentials: Path, model: str, **_: Any) -> Result:
        """The file is written before the commit: it may hold what does not count yet, but nothing issued is lost."""
        try:
            known = read_credentials(credentials)
            pairs = _addresses() | bootstrap(known, actor=actors.command_line()) | {"SIGNALBOX_MODEL": model}
            if pairs != known:
                write_credentials(credentials, pairs)
            credentials.chmod(0o600)
        except OSError as exc:
            raise CommandError(f"{credentials}: {exc.strerror}. Give a file that can be written.") from exc
        return Result(str(credentials), {"credentials": str(credentials), "changed": sorted(_changed(known, pairs))})


def _addresses() -> dict[str, str]:
    return {"SIGNALBOX_URL": settings.CONSOLE_URL, "SIGNALBOX_GATEWAY_URL": settings.GATEWAY_URL}


def _changed(before: dict[str, str], after: dict[str, str]) -> set[str]:
    return {key for key, value in after.items() if before.get(key) != value}
