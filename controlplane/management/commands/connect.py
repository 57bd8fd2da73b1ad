from argparse import ArgumentParser
from typing import Any

from django.core.management.base import CommandError

from controlplane import actors
from controlplane.actions.connect_engine import connect_engine, connected, engine_root
from controlplane.external import EngineSilentError, served_models
from controlplane.management.command import Result, ScriptCommand


class Command(ScriptCommand):
    help = "Register an OpenAI-compatible engine that Signalbox does not start, and route to it."

    def add_own_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("url", metavar="URL", help="scheme, host and port, such as http://10.0.0.5:8000")
        parser.add_argument("--route", required=True, metavar="NAME", help="the model name that clients write")
        parser.add_argument(
            "--model", metavar="NAME", help="what the engine calls the model; asked of it when not given"
        )
        parser.add_argument("--weight", type=int, default=100, metavar="N", help="its share of the route, 0 to 1000")

    def answer(self, *, url: str, route: str, model: str | None, weight: int, **_: Any) -> Result:
        url = engine_root(url)
        deployment, routed = connect_engine(
            url, model=model or _only_model(url), route=route, weight=weight, actor=actors.command_line()
        )
        return Result(
            deployment.name,
            {"deployment": deployment.name, "model": deployment.served_name, "url": url, "route": routed.name,
             "weight": weight},
        )  # fmt: skip


def _only_model(url: str) -> str:
    """The model that this URL is known for, else the one that it says it serves."""
    known = list(connected(url).values_list("served_name", flat=True).distinct())
    if len(known) == 1:
        return known[0]
    try:
        names = served_models(url)
    except EngineSilentError as exc:
        raise CommandError(f"{exc}. Start the engine first, or name its model with --model.") from exc
    if len(names) == 1:
        return names[0]
    if not names:
        raise CommandError(f"{url} serves no model: name one with --model.")
    raise CommandError(f"{url} serves {', '.join(sorted(names))}: choose one with --model.")
