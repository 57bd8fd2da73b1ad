from datetime import datetime, timedelta

from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from audit.operations import Operation
from audit.record import Actor, record
from controlplane.actions.base import target_of
from controlplane.actions.create_token import NewToken, new_token, project_of, require_owning, told
from controlplane.errors import Conflict, Invalid
from controlplane.models import ManagementToken
from controlplane.permissions import Permission

LONGEST_OVERLAP = timedelta(days=30)
USUAL_OVERLAP = timedelta(days=1)


@transaction.atomic
def rotate_token(
    token: ManagementToken,
    *,
    overlap: timedelta = USUAL_OVERLAP,
    expires_at: datetime | None = None,
    actor: Actor,
    reason: str = "",
) -> NewToken:
    """Another token in the place of this one, which goes on working for the overlap.

    `expires_at` None: the new one lives as long as the old one was meant to, counted from now.
    """
    require_owning(token.owner, Permission.TOKEN_CREATE, actor)
    if not timedelta(0) <= overlap <= LONGEST_OVERLAP:
        raise Invalid(_("The overlap is at most 30 days."), field="overlap_seconds")
    token = ManagementToken.objects.select_for_update(of=("self",)).get(pk=token.pk)
    now = timezone.now()
    if not ManagementToken.objects.usable().filter(pk=token.pk).exists():
        raise Conflict(_("The token has ended already."), code="ended")
    lifetime = token.expires_at - token.created_at if token.expires_at else None
    made = new_token(token.owner, token.name, expires_at or (now + lifetime if lifetime else None))
    token.expires_at = min(now + overlap, token.expires_at or now + overlap)
    token.save(update_fields=["expires_at", "updated_at"])
    record(
        Operation.TOKEN_ROTATED, actor=actor, target=target_of(made.row), reason=reason, kind="security",
        project=project_of(token.owner),
        detail=told(made.row) | {"replaces": str(token.pk), "ends_at": token.expires_at.isoformat()},
    )  # fmt: skip
    return made
