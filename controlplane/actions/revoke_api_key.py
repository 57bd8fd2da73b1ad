from django.db import transaction
from django.utils import timezone

from audit.operations import Operation
from audit.record import Actor, record
from controlplane import publish
from controlplane.actions.base import require_reason, target_of
from controlplane.models import ApiKey
from controlplane.permissions import Permission, require


@transaction.atomic
def revoke_api_key(key: ApiKey, *, actor: Actor, reason: str) -> ApiKey:
    """End a key; every gateway refuses it within a second."""
    require(actor, Permission.API_KEY_REVOKE, key.project)
    require_reason(reason)
    key = ApiKey.objects.select_for_update(of=("self",)).select_related("project").get(pk=key.pk)
    if key.revoked_at is None:
        key.revoked_at = timezone.now()
        key.save(update_fields=["revoked_at", "updated_at"])
        record(Operation.API_KEY_REVOKED, actor=actor, target=target_of(key), project=key.project.name, reason=reason)
        transaction.on_commit(lambda: publish.publish_key(key))
    return key
