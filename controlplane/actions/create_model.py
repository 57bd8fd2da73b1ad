from django.db import transaction

from audit.operations import Operation
from audit.record import Actor, record
from controlplane.actions.base import project_name, snapshot, target_of, validate
from controlplane.models import Model, Project
from controlplane.permissions import Permission, require


@transaction.atomic
def create_model(
    *, name: str, project: Project | None = None, description: str = "", actor: Actor, reason: str = ""
) -> Model:
    """Register a model; its weights come with its versions."""
    require(actor, Permission.MODEL_CREATE, project)
    model = Model(name=name, project=project, description=description)
    validate(model)
    model.save()
    record(
        Operation.MODEL_CREATED, actor=actor, target=target_of(model), project=project_name(project), reason=reason,
        detail=snapshot(model, ("description",)),
    )  # fmt: skip
    return model
