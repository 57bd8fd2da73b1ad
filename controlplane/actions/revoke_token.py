from django.db import transaction
from django.utils import timezone

from audit.operations import Operation
from audit.record import Actor, record
from controlplane.actions.base import require_reason, target_of
from controlplane.models import ManagementToken
from controlplane.permissions import Permission, require


@transaction.atomic
def revoke_token(token: ManagementToken, *, actor: Actor, reason: str) -> ManagementToken:
    """End a token; the management API refuses it at once."""
    require(actor, Permission.TOKEN_REVOKE)
    require_reason(reason)
    token = ManagementToken.objects.select_for_update().get(pk=token.pk)
    if token.revoked_at is None:
        token.revoked_at = timezone.now()
        token.save(update_fields=["revoked_at", "updated_at"])
        record(Operation.TOKEN_REVOKED, actor=actor, target=target_of(token), reason=reason, kind="security")
    return token
