from django.db import transaction
from django.utils.translation import gettext as _

from audit.operations import Operation
from audit.record import Actor, record
from controlplane.actions.base import project_name, require_reason, target_of
from controlplane.errors import Conflict
from controlplane.lifecycle import ExportState, can_move, move
from controlplane.models import Export
from controlplane.permissions import Permission, require


@transaction.atomic
def cancel_export(export: Export, *, actor: Actor, reason: str) -> Export:
    """Stop an export that is not finished; the worker hears of it at its next part, and deletes what is there."""
    require(actor, Permission.AUDIT_EXPORT, export.project)
    require_reason(reason)
    export = Export.objects.select_for_update(of=("self",)).select_related("project").get(pk=export.pk)
    if not can_move(ExportState(export.state), ExportState.CANCELLED):
        raise Conflict(_("The export is over."), code="export_is_over")
    if move(export, ExportState.CANCELLED):
        export.save(update_fields=["state", "updated_at"])
        record(
            Operation.EXPORT_CANCELLED, actor=actor, target=target_of(export), project=project_name(export.project),
            reason=reason, detail={"rows": export.rows},
        )  # fmt: skip
    return export
