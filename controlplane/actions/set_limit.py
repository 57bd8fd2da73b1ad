from django.db import transaction
from django.utils.translation import gettext as _

from audit.operations import Operation
from audit.record import Actor, record
from controlplane import publish
from controlplane.actions.base import difference, project_name, snapshot, target_of, validate
from controlplane.errors import Invalid
from controlplane.models import ApiKey, Limit, Project, Route
from controlplane.models.limits import DIMENSIONS
from controlplane.permissions import Permission, require


@transaction.atomic
def set_limit(
    *,
    api_key: ApiKey | None = None,
    project: Project | None = None,
    route: Route | None = None,
    actor: Actor,
    reason: str = "",
    **numbers: int | None,
) -> Limit:
    """Let the subject have so much and no more, in place of what held for it before.

    The subject is a key, a project or a route, or a key or a project on a route. `numbers` are named as in
    `DIMENSIONS`; one that is None or left out is unlimited. What was spent of a budget stays spent.
    """
    require(actor, Permission.LIMIT_CHANGE, authority(api_key, project, route))
    _check_subject(api_key, project, route)
    if unknown := numbers.keys() - set(DIMENSIONS):
        raise TypeError(f"there is no limit of {', '.join(sorted(unknown))}")
    if all(number is None for number in numbers.values()):
        raise Invalid(_("Set at least one limit, or remove the limit."), field=DIMENSIONS[0])
    found = Limit.objects.select_for_update().filter(api_key=api_key, project=project, route=route).first()
    limit = found or Limit(api_key=api_key, project=project, route=route)
    before = snapshot(limit, DIMENSIONS)
    for name in DIMENSIONS:
        setattr(limit, name, numbers.get(name))
    validate(limit)
    if changes := difference(before, snapshot(limit, DIMENSIONS)):
        limit.save()
        record(
            Operation.LIMIT_CHANGED, actor=actor, target=target_of(limit), reason=reason, changes=changes,
            project=project_name(owner(limit)),
        )  # fmt: skip
        publish_on_commit(limit)
    return limit


def owner(limit: Limit) -> Project | None:
    """The project that a limit belongs to; None for a route of all."""
    if limit.api_key is not None:
        return limit.api_key.project
    return limit.project or (limit.route.project if limit.route else None)


def authority(api_key: ApiKey | None, project: Project | None, route: Route | None) -> Project | None:
    """Whose people set it. What a project may have as a whole is the platform's word (None), not its own."""
    if api_key is not None:
        return api_key.project
    return None if project is not None or route is None else route.project


def publish_on_commit(limit: Limit) -> None:
    """Let the gateways know where they look for it: with the key, or in the table of limits."""
    key = limit.api_key
    transaction.on_commit(publish.publish_limits if key is None else lambda: publish.publish_key(key))


def _check_subject(api_key: ApiKey | None, project: Project | None, route: Route | None) -> None:
    if api_key is None and project is None and route is None:
        raise Invalid(_("Choose a key, a project or a route."), field="api_key")
    if api_key is not None and project is not None:
        raise Invalid(_("A limit is for a key or for a project: choose one."), field="project")
    tenant = api_key.project if api_key else project
    if tenant and route and route.project_id not in {None, tenant.pk}:
        raise Invalid(_("There is no route %(name)s for this project.") % {"name": route.name}, field="route")
