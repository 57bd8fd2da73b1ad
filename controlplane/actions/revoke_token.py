from django.db import transaction
from django.utils import timezone

from audit.operations import Operation
from audit.record import Actor, record
from controlplane.actions.base import require_reason, target_of
from controlplane.actions.create_token import project_of
from controlplane.models import ManagementToken, ServiceAccount, User
from controlplane.permissions import Permission, require


@transaction.atomic
def revoke_token(token: ManagementToken, *, actor: Actor, reason: str) -> ManagementToken:
    """End a token; the management API refuses it at once. One's own may be ended without a right to."""
    owner = token.owner
    own = isinstance(owner, User) and actor.type == "user" and actor.id == str(owner.pk)
    if not own:
        require(actor, Permission.TOKEN_REVOKE, owner.project if isinstance(owner, ServiceAccount) else None)
    require_reason(reason)
    token = ManagementToken.objects.select_for_update(of=("self",)).get(pk=token.pk)
    if token.revoked_at is None:
        token.revoked_at = timezone.now()
        token.save(update_fields=["revoked_at", "updated_at"])
        record(
            Operation.TOKEN_REVOKED, actor=actor, target=target_of(token), reason=reason, kind="security",
            project=project_of(owner), detail={"owner": str(owner), "token_id": token.token_id},
        )  # fmt: skip
    return token
