from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import CommandError

from controlplane import actors
from controlplane.actions.deploy_default_model import NAME, deploy_default_model
from controlplane.management.command import Result, ScriptCommand
from controlplane.models.deployments import Flavour


class Command(ScriptCommand):
    help = "Register, version, deploy and route the default model, once in an instance's life."

    def add_own_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--source", type=Path, required=True, metavar="DIR", help="the directory with its weights")
        parser.add_argument("--flavour", default=Flavour.VLLM_CPU, choices=[Flavour.VLLM_CPU, Flavour.VLLM])

    def answer(self, *, source: Path, flavour: str, **_: Any) -> Result:
        source = source.expanduser().resolve()
        if not (source / "config.json").is_file():
            raise CommandError(f"{source} holds no model (no config.json): give the directory with the weights.")
        made = deploy_default_model(source=str(source), flavour=flavour, actor=actors.command_line())
        return Result(NAME, {"model": NAME, "created": made is not None})
