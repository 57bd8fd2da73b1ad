from datetime import datetime, timedelta

from django.db import transaction
from django.utils.translation import gettext as _

from audit import bodies
from audit.operations import Operation
from audit.record import Actor, record
from controlplane.actions.base import require_reason, target_of
from controlplane.actions.read_bodies import Condition, opened
from controlplane.errors import Invalid
from controlplane.models import Project, ReleasedText
from controlplane.models.access import DataDomain
from controlplane.permissions import Permission, require
from inference.contract.bodies import MASKED

MOST_AT_ONCE = 10_000
MOST_DAYS = 90


@transaction.atomic
def release_bodies(
    project: Project, *, since: datetime, until: datetime, days: int, now: datetime, actor: Actor, reason: str
) -> int:
    """Lay the masked texts of a time open for auditors' SQL tools, for some days; answers how many.

    Whole bodies and what is of the sensitive domain are never laid open: they are read one by one, each with a reason.
    """
    require(actor, Permission.AUDIT_BODY_RELEASE, project)
    require_reason(reason)
    if not 1 <= days <= MOST_DAYS:
        raise Invalid(_("Between 1 and %(most)d days are possible.") % {"most": MOST_DAYS}, field="days")
    found = bodies.between(project.name, since, until, MOST_AT_ONCE + 1)
    if len(found) > MOST_AT_ONCE:
        message = _("There are more than %(most)d texts: choose a shorter time.")
        raise Invalid(message % {"most": MOST_AT_ONCE}, field="until", code="too_many")
    texts = [text for body in found if (text := _released(body, now + timedelta(days=days)))]
    ReleasedText.objects.bulk_create(
        texts, update_conflicts=True, unique_fields=["event_id", "side"], update_fields=["until"], batch_size=500
    )
    record(
        Operation.BODIES_RELEASED, actor=actor, target=target_of(project), project=project.name, kind="security",
        reason=reason,
        detail={"since": since.isoformat(), "until": until.isoformat(), "days": days, "texts": len(texts)},
    )  # fmt: skip
    return len(texts)


def _released(body: bodies.Stored, until: datetime) -> ReleasedText | None:
    if body.mode != MASKED or body.data_domain == DataDomain.SENSITIVE:
        return None
    condition, content = opened(body)
    if condition is not Condition.READABLE:
        return None
    text = content.decode("utf-8", "replace").replace("\x00", "\ufffd")
    return ReleasedText(key_id=body.key_id, event_id=body.event_id, side=body.side, text=text, until=until)
