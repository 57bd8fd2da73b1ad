from collections.abc import Sequence

from django.db import transaction

from audit.operations import Operation
from audit.record import Actor, record
from controlplane import publish
from controlplane.actions.base import difference, snapshot, target_of, validate
from controlplane.actions.scopes import hosts
from controlplane.models import Project
from controlplane.permissions import Permission, require

CHANGEABLE = ("title", "media_hosts", "register_mode", "data_domain")
TOLD_WITH_KEYS = frozenset({"media_hosts", "register_mode", "data_domain"})
"""what gateways learn from the entries of a project's keys"""


@transaction.atomic
def change_project(
    project: Project,
    *,
    title: str | None = None,
    media_hosts: Sequence[str] | None = None,
    register_mode: str | None = None,
    data_domain: str | None = None,
    actor: Actor,
    reason: str = "",
) -> Project:
    """Change what is given. Its keys are published anew, so every gateway knows within a second."""
    require(actor, Permission.PROJECT_CHANGE, project)
    before = snapshot(project, CHANGEABLE)
    if title is not None:
        project.title = title
    if media_hosts is not None:
        project.media_hosts = hosts(media_hosts)
    if register_mode is not None:
        project.register_mode = register_mode
    if data_domain is not None:
        project.data_domain = data_domain
    validate(project)
    changed = difference(before, snapshot(project, CHANGEABLE))
    if not changed:
        return project
    project.save()
    record(
        Operation.PROJECT_CHANGED, actor=actor, target=target_of(project), project=project.name, reason=reason,
        changes=changed,
    )  # fmt: skip
    if changed.keys() & TOLD_WITH_KEYS:
        transaction.on_commit(lambda: publish.publish_keys_of(project))
    return project
