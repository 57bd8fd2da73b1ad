from dataclasses import replace

from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from audit.exporting import Format
from audit.finding import Selection
from audit.operations import Operation
from audit.record import Actor, record
from controlplane.actions.base import project_name, target_of
from controlplane.errors import Invalid
from controlplane.models import Export, Project
from controlplane.moments import has_known_offset
from controlplane.permissions import Permission, require


@transaction.atomic
def request_export(
    *, project: Project | None = None, form: Format, selection: Selection, bom: bool = False, actor: Actor,
    reason: str = "",
) -> Export:  # fmt: skip
    """Order an export; a worker writes it. It ends now at the latest, so it is the same whenever it is written.

    One of a project holds nothing of any other, whatever the selection says.
    """
    require(actor, Permission.AUDIT_EXPORT, project)
    now = timezone.now()
    for end in ("since", "until"):
        if (moment := getattr(selection, end)) and not has_known_offset(moment):
            raise Invalid(_("Expected a time with offset, such as 2027-01-31T08:00:00+08:00."), field=end)
    if project and selection.project not in {"", project.name}:
        raise Invalid(_("The filter names another project."), field="filter")
    until = min(selection.until or now, now)
    if selection.since and selection.since >= until:
        raise Invalid(_("The time range is empty."), field="until")
    selection = replace(selection, until=until, project=project.name if project else selection.project)
    export = Export.objects.create(
        project=project, format=form, bom=bom and form == Format.CSV, selection=selection.plain(),
        requester_type=actor.type, requester_id=actor.id, requester_name=actor.name,
    )  # fmt: skip
    record(
        Operation.EXPORT_REQUESTED, actor=actor, target=target_of(export), project=project_name(project), reason=reason,
        detail={"format": export.format, "filter": export.selection},
    )  # fmt: skip
    return export
