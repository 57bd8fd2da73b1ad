from django.db import transaction

from audit.models import Event
from audit.operations import Operation
from audit.record import Actor
from controlplane.actions.create_deployment import create_deployment
from controlplane.actions.create_model import create_model
from controlplane.actions.create_version import create_version
from controlplane.actions.set_route import create_route
from controlplane.models import Deployment, Model
from controlplane.models.deployments import Flavour

NAME = "smollm2-135m-instruct"
VERSION = "v1"
CONTEXT_LENGTH = 2048
REASON = "the default model of a new instance"


@transaction.atomic
def deploy_default_model(*, source: str, flavour: str = Flavour.VLLM_CPU, actor: Actor) -> Deployment | None:
    """Register, version, deploy and route the model that a new instance answers with.

    Done once in an instance's life, as the register remembers: None when there ever was such a model or deployment,
    so that what people change or delete stays changed or deleted.
    """
    if _ever_existed():
        return None
    model = create_model(name=NAME, description="SmolLM2 135M Instruct", actor=actor, reason=REASON)
    version = create_version(
        model, name=VERSION, source=source, max_model_len=CONTEXT_LENGTH, actor=actor, reason=REASON
    )
    deployment = create_deployment(
        name=NAME, version=version, flavour=flavour, engine_args={"max-model-len": CONTEXT_LENGTH},
        actor=actor, reason=REASON,
    )  # fmt: skip
    create_route(name=NAME, targets={deployment: 100}, actor=actor, reason=REASON)
    return deployment


def _ever_existed() -> bool:
    made = Event.objects.filter(operation__in=[Operation.MODEL_CREATED, Operation.DEPLOYMENT_CREATED], target_name=NAME)
    return Model.objects.filter(name=NAME).exists() or Deployment.objects.filter(name=NAME).exists() or made.exists()
