from typing import Any

from django.db import transaction
from django.utils import timezone

from audit.operations import Operation
from audit.record import Actor, record
from controlplane.actions.base import (
    difference,
    project_name,
    require_reason,
    snapshot,
    target_of,
    validate,
)
from controlplane.models import ManagementToken, ServiceAccount
from controlplane.permissions import Permission, require

CHANGEABLE = frozenset({"description", "is_active"})


@transaction.atomic
def change_service_account(account: ServiceAccount, *, actor: Actor, reason: str = "", **fields: Any) -> ServiceAccount:
    """Describe it otherwise, or switch it off, which revokes its tokens at once and needs a reason."""
    require(actor, Permission.SERVICE_ACCOUNT_CHANGE, account.project)
    if unknown := fields.keys() - CHANGEABLE:
        raise TypeError(f"not changeable: {', '.join(sorted(unknown))}")
    account = ServiceAccount.objects.select_for_update(of=("self",)).select_related("project").get(pk=account.pk)
    before = snapshot(account, fields)
    for name, value in fields.items():
        setattr(account, name, value)
    validate(account)
    changes = difference(before, snapshot(account, fields))
    if not changes:
        return account
    account.save()
    detail = None
    if changes.get("is_active") == [True, False]:
        require_reason(reason)
        now = timezone.now()
        live = ManagementToken.objects.filter(service_account=account, revoked_at=None)
        detail = {"tokens_revoked": live.update(revoked_at=now, updated_at=now)}
    record(
        Operation.SERVICE_ACCOUNT_CHANGED, actor=actor, target=target_of(account), reason=reason, kind="security",
        project=project_name(account.project), changes=changes, detail=detail,
    )  # fmt: skip
    return account
