from collections.abc import Sequence

from django.db import transaction

from audit.operations import Operation
from audit.record import Actor, record
from controlplane.actions.base import snapshot, target_of, validate
from controlplane.actions.scopes import hosts
from controlplane.models import Project
from controlplane.models.access import DataDomain, RegisterMode
from controlplane.permissions import Permission, require


@transaction.atomic
def create_project(
    *,
    name: str,
    title: str = "",
    media_hosts: Sequence[str] = (),
    register_mode: str = RegisterMode.DIGEST,
    data_domain: str = DataDomain.BUSINESS,
    actor: Actor,
    reason: str = "",
) -> Project:
    """A new tenant."""
    require(actor, Permission.PROJECT_CREATE)
    project = Project(
        name=name, title=title, media_hosts=hosts(media_hosts), register_mode=register_mode, data_domain=data_domain
    )
    validate(project)
    project.save()
    record(
        Operation.PROJECT_CREATED, actor=actor, target=target_of(project), project=project.name, reason=reason,
        detail=snapshot(project, ("title", "media_hosts", "register_mode", "data_domain")),
    )  # fmt: skip
    return project
