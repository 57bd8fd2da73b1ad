from django.db import transaction
from django.utils.translation import gettext as _

from audit.operations import Operation
from audit.record import Actor, record
from controlplane.access.standing import standing_of
from controlplane.actions.base import project_name, target_of, validate
from controlplane.errors import Invalid, NotAllowed
from controlplane.models import Project, RoleBinding, ServiceAccount, User
from controlplane.permissions import Permission, require
from controlplane.roles import Role, may_grant


@transaction.atomic
def grant_role(
    holder: User | ServiceAccount, *, role: str, project: Project | None = None, actor: Actor, reason: str = ""
) -> RoleBinding:
    """Let a person or a machine have a role on a project or on the platform (None): never more than one holds there."""
    require(actor, Permission.ROLE_GRANT, project)
    if role not in Role.values:
        raise Invalid(_("There is no such role."), field="role")
    if not may_grant(standing_of(actor), Role(role), project.pk if project else None).allowed:
        raise NotAllowed(_("You may not grant more than you hold there yourself."))
    binding = RoleBinding(role=role, project=project, created_by=actor.name)
    if isinstance(holder, ServiceAccount):
        _check_is_at_home(holder, project)
        binding.service_account = holder
    else:
        binding.user = holder
    validate(binding)
    binding.save()
    record(
        Operation.ROLE_GRANTED, actor=actor, target=target_of(holder), reason=reason, kind="security",
        project=project_name(project), detail={"role": role, "binding": str(binding.pk)},
    )  # fmt: skip
    return binding


def _check_is_at_home(account: ServiceAccount, project: Project | None) -> None:
    """Who owns a project owns its machines and their tokens, so what these hold elsewhere would be theirs as well."""
    if account.project_id and (project is None or account.project_id != project.pk):
        raise Invalid(_("A project's service account holds roles in that project only."), field="service_account")
