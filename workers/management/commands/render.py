from argparse import ArgumentParser
from typing import Any

from django.core.management.base import CommandError

from controlplane.management.command import Result, ScriptCommand
from controlplane.models import Deployment
from controlplane.models.deployments import Backend
from controlplane.sealing import Unopenable
from workers.backends.kubernetes.rendering import as_yaml, render
from workers.specs import specs_of


class Command(ScriptCommand):
    help = "Print the manifests of a Kubernetes deployment as YAML; the values of its Secrets are hidden."

    def add_own_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("deployment", metavar="DEPLOYMENT", help="its name")
        parser.add_argument("--with-secrets", action="store_true", help="print the values of its Secrets, too")

    def answer(self, *, deployment: str, with_secrets: bool, **_: Any) -> Result:
        found = Deployment.objects.select_related("version__model").filter(name=deployment).first()
        if found is None:
            raise CommandError(f"There is no deployment {deployment}.")
        if found.backend != Backend.KUBERNETES:
            raise CommandError(f"{deployment} does not run in Kubernetes: its backend is {found.backend}.")
        try:
            objects = render(specs_of(found), secrets=with_secrets)
        except Unopenable as exc:
            raise CommandError(f"The secrets of {deployment} cannot be read: {exc}") from exc
        return Result(as_yaml(objects).rstrip("\n"), {"deployment": deployment, "manifests": objects})
