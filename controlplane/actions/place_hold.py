from django.db import transaction
from django.utils.translation import gettext as _

from audit.models import Event, Hold
from audit.operations import Operation
from audit.record import Actor, Target, record
from controlplane.actions.base import require_reason, validate
from controlplane.errors import Invalid
from controlplane.models import Project
from controlplane.permissions import Permission, require


@transaction.atomic
def place_hold(*, of: str, name: str, actor: Actor, reason: str) -> Hold:
    """Keep all that the register has of a project or an actor, however old, until the hold is lifted.

    One of a name that the register has never seen would keep nothing, so it is refused.
    """
    require(actor, Permission.AUDIT_HOLD_PLACE)
    require_reason(reason)
    hold = Hold(of=of, name=name, reason=reason, placed_by=actor.name)
    validate(hold)
    if not _is_known(hold):
        raise Invalid(_("The register knows no such name."), field="name", code="unknown_name")
    hold.save(force_insert=True)
    record(
        Operation.REGISTER_HOLD_PLACED, actor=actor, target=Target(of, name, name), kind="security", reason=reason,
        project=name if of == Hold.Of.PROJECT else "", detail={"hold": hold.pk},
    )  # fmt: skip
    return hold


def _is_known(hold: Hold) -> bool:
    if hold.of == Hold.Of.PROJECT:
        is_there = Project.objects.filter(name=hold.name).exists()
        return is_there or Event.objects.filter(project=hold.name).exists()
    return Event.objects.filter(actor_id=hold.name).exists()
