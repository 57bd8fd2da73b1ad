from django.db import transaction

from audit.operations import Operation
from audit.record import Actor, record
from controlplane.actions.base import project_name, target_of, validate
from controlplane.models import Project, ServiceAccount
from controlplane.permissions import Permission, require


@transaction.atomic
def create_service_account(
    *, name: str, project: Project | None = None, description: str = "", actor: Actor, reason: str = ""
) -> ServiceAccount:
    """A machine that may call the management API. It may do nothing until a role is bound to it."""
    require(actor, Permission.SERVICE_ACCOUNT_CREATE, project)
    account = ServiceAccount(name=name, project=project, description=description)
    validate(account)
    account.save()
    record(
        Operation.SERVICE_ACCOUNT_CREATED, actor=actor, target=target_of(account), project=project_name(project),
        reason=reason, kind="security",
    )  # fmt: skip
    return account
