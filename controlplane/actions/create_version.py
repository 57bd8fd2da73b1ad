from django.db import transaction
from django.utils.translation import gettext as _

from audit.operations import Operation
from audit.record import Actor, record
from controlplane.actions.base import project_name, target_of, validate
from controlplane.errors import Invalid
from controlplane.models import Model, ModelVersion
from controlplane.permissions import Permission, require

SCHEMES = ("/", "hf:", "modelscope:", "external:")


@transaction.atomic
def create_version(
    model: Model, *, name: str, source: str, max_model_len: int | None = None, actor: Actor, reason: str = ""
) -> ModelVersion:
    """Register one set of weights. `source`: an absolute directory, ``hf:``, ``modelscope:`` or ``external:``."""
    require(actor, Permission.VERSION_CREATE, model.project)
    if not source.startswith(SCHEMES):
        raise Invalid(
            _("Give an absolute directory, hf:organisation/name or modelscope:organisation/name."), field="source"
        )
    version = ModelVersion(model=model, name=name, source=source, max_model_len=max_model_len)
    validate(version)
    version.save()
    record(
        Operation.VERSION_CREATED, actor=actor, target=target_of(version), project=project_name(model.project),
        reason=reason, detail={"source": source, "max_model_len": max_model_len},
    )  # fmt: skip
    return version
