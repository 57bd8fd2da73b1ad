from datetime import date

from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from audit import months
from audit.exporting import Format
from audit.finding import Selection
from audit.models import Retirement
from audit.operations import Operation
from audit.record import Actor, Target, record
from audit.retention import OF_EXPORT, Refusal, bounds
from controlplane import archives
from controlplane.actions.base import require_reason
from controlplane.errors import Conflict, Invalid
from controlplane.lifecycle import ExportState, move
from controlplane.models import Export
from controlplane.permissions import Permission, require

MENDED_ANEW = OF_EXPORT - {Refusal.NOT_EXPORTED, Refusal.EXPORT_UNFINISHED}
"""what is wrong with an export that is there and will not change"""


@transaction.atomic
def retire_month(month: date, *, actor: Actor, reason: str) -> Export:
    """Order that a month leaves the register: it is exported into the archive, and then a worker drops it.

    An export of it that is damaged is ordered anew. Raises `Conflict` that names what is against it.
    """
    require(actor, Permission.AUDIT_RETIRE)
    require_reason(reason)
    if Retirement.objects.filter(month=month).exists() or month not in months.existing():
        raise Invalid(_("The register has no such month any more, or never had."), field="month", code="no_such_month")
    found = archives.judged(month, timezone.now(), thoroughly=True)
    against = [it for it in found.refusals if it not in OF_EXPORT]
    if against:
        raise Conflict(_("The month stays: %(why)s.") % {"why": ", ".join(against)}, code="month_stays")
    if found.export and MENDED_ANEW.isdisjoint(found.refusals):
        return found.export
    if found.export:
        _end(found.export)
    return _order(month, actor=actor, reason=reason)


def _end(export: Export) -> None:
    export.files.remove()
    move(export, ExportState.EXPIRED)
    export.save(update_fields=["state", "updated_at"])


def _order(month: date, *, actor: Actor, reason: str) -> Export:
    begin, end = bounds(month)
    export = Export.objects.create(
        project=None, format=Format.JSONL, selection=Selection(since=begin, until=end).plain(), month=month,
        requester_type=actor.type, requester_id=actor.id, requester_name=actor.name,
    )  # fmt: skip
    name = f"{month:%Y-%m}"
    record(
        Operation.REGISTER_MONTH_RETIREMENT_ORDERED, actor=actor, target=Target("month", name, name), reason=reason,
        detail={"export": str(export)},
    )  # fmt: skip
    return export
