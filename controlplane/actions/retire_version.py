from django.db import transaction
from django.utils.translation import gettext as _

from audit.operations import Operation
from audit.record import Actor, record
from controlplane import lifecycle
from controlplane.actions.base import project_name, require_reason, target_of
from controlplane.errors import Conflict
from controlplane.models import ModelVersion
from controlplane.permissions import Permission, require


@transaction.atomic
def retire_version(version: ModelVersion, *, actor: Actor, reason: str) -> ModelVersion:
    """Allow no new deployment of the version. Refused while one runs."""
    require(actor, Permission.VERSION_RETIRE, version.model.project)
    require_reason(reason)
    version = ModelVersion.objects.select_for_update().get(pk=version.pk)
    if running := version.deployments.first():
        raise Conflict(_("The deployment %(name)s still runs it: delete that first.") % {"name": running.name})
    if lifecycle.move(version, lifecycle.VersionState.RETIRED):
        version.save(update_fields=["state", "updated_at"])
        record(
            Operation.VERSION_RETIRED, actor=actor, target=target_of(version), reason=reason,
            project=project_name(version.model.project),
        )  # fmt: skip
    return version
