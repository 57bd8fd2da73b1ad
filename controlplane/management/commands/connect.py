from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import CommandError

from controlplane.actions.connect_engine import Tls, connect_engine, connected, engine_root
from controlplane.engine_tls import certificates, context
from controlplane.external import EngineSilentError, served_models
from controlplane.management.command import Result, ScriptCommand


class Command(ScriptCommand):
    takes_reason = True
    help = "Register an OpenAI-compatible engine that Signalbox does not start, and route to it."

    def add_own_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("url", metavar="URL", help="scheme, host and port, such as http://10.0.0.5:8000")
        parser.add_argument("--route", required=True, metavar="NAME", help="the model name that clients write")
        parser.add_argument(
            "--model", metavar="NAME", help="what the engine calls the model; asked of it when not given"
        )
        parser.add_argument("--weight", type=int, default=100, metavar="N", help="its share of the route, 0 to 1000")

        parser.add_argument(
            "--key-file",
            type=Path,
            metavar="FILE",
            help="holds the key that the engine asks for; empty: it asks for none",
        )
        tls = parser.add_mutually_exclusive_group()
        tls.add_argument(
            "--ca", type=Path, metavar="FILE", help="certificates in PEM that its https is checked against"
        )
        tls.add_argument("--insecure", action="store_true", help="do not check its certificate: anybody may pose as it")

    def answer(
        self,
        *,
        url: str,
        route: str,
        model: str | None,
        weight: int,
        ca: Path | None,
        insecure: bool,
        key_file: Path | None,
        reason: str,
        **_: Any,
    ) -> Result:
        url = engine_root(url)
        tls = Tls(certificates(_text(ca)) if ca else "", not insecure) if ca or insecure else None
        key = _text(key_file, "a key").strip() if key_file else None
        deployment, routed = connect_engine(
            url, model=model or _only_model(url, tls, key or ""), route=route, weight=weight, tls=tls, key=key,
            actor=self.actor, reason=reason,
        )  # fmt: skip
        return Result(
            deployment.name,
            {"deployment": deployment.name, "model": deployment.served_name, "url": url, "route": routed.name,
             "weight": weight},
        )  # fmt: skip


def _text(file: Path, what: str = "certificates") -> str:
    try:
        return file.read_text("ascii")
    except (OSError, ValueError) as exc:
        raise CommandError(f"{file} cannot be read as {what}: {exc}") from exc


def _only_model(url: str, tls: Tls | None, key: str) -> str:
    """The model that this URL is known for, else the one that it says it serves."""
    known = list(connected(url).values_list("served_name", flat=True).distinct())
    if len(known) == 1:
        return known[0]
    ca, verify = tls or Tls()
    try:
        names = served_models(url, context(ca, verify=verify), key)
    except EngineSilentError as exc:
        raise CommandError(f"{exc}. Start the engine first, or name its model with --model.") from exc
    if len(names) == 1:
        return names[0]
    if not names:
        raise CommandError(f"{url} serves no model: name one with --model.")
    raise CommandError(f"{url} serves {', '.join(sorted(names))}: choose one with --model.")
