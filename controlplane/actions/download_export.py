from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from audit.operations import Operation
from audit.record import Actor, record
from controlplane.actions.base import project_name, target_of
from controlplane.errors import Conflict, NotAllowed
from controlplane.models import Export
from controlplane.permissions import Permission, require


@transaction.atomic
def download_export(export: Export, file: str, *, actor: Actor) -> Export:
    """Note that a file of an export is fetched. Only whoever asked for the export may, and while they may export."""
    require(actor, Permission.AUDIT_EXPORT, export.project)
    if not export.is_asked_for_by(actor.type, actor.id):
        raise NotAllowed(_("Only who asked for an export may fetch it."), code="not_the_requester")
    if not export.is_kept(timezone.now()):
        raise Conflict(_("There is nothing to fetch: the export is not finished, or its files are deleted."))
    record(
        Operation.EXPORT_DOWNLOADED, actor=actor, target=target_of(export), project=project_name(export.project),
        detail={"file": file, "rows": export.rows},
    )  # fmt: skip
    return export
