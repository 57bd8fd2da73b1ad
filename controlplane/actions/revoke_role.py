from django.db import transaction

from audit.operations import Operation
from audit.record import Actor, record
from controlplane.access import owners
from controlplane.actions.base import project_name, require_reason, target_of
from controlplane.models import RoleBinding
from controlplane.permissions import Permission, require


@transaction.atomic
def revoke_role(binding: RoleBinding, *, actor: Actor, reason: str) -> None:
    """Take a role away; it is gone with the holder's next request. The platform's last owner stays."""
    require(actor, Permission.ROLE_GRANT, binding.project)
    require_reason(reason)
    owners.one_at_a_time()
    gone, _each = RoleBinding.objects.filter(pk=binding.pk).delete()
    if not gone:  # somebody else was quicker
        return
    owners.check_one_is_left()
    record(
        Operation.ROLE_REVOKED, actor=actor, target=target_of(binding.holder), reason=reason, kind="security",
        project=project_name(binding.project), detail={"role": binding.role, "binding": str(binding.pk)},
    )  # fmt: skip
