from django.db import transaction

from audit.operations import Operation
from audit.record import Actor, record
from controlplane import publish
from controlplane.actions.base import ending, project_name, require_reason, target_of
from controlplane.actions.set_limit import publish_on_commit
from controlplane.actions.set_route import plain_route
from controlplane.models import Route
from controlplane.permissions import Permission, require


@transaction.atomic
def delete_route(route: Route, *, actor: Actor, reason: str) -> None:
    """Take a public model name and its limits away; requests for it get 404 from the next second on."""
    require(actor, Permission.ROUTE_DELETE, route.project)
    require_reason(reason)
    target = target_of(route)
    project = project_name(route.project)
    limits = list(route.limits.select_related("api_key__project", "project"))
    gone = [str(limit) for limit in limits]
    changes = ending(plain_route(route))
    route.delete()
    record(
        Operation.ROUTE_DELETED, actor=actor, target=target, project=project, reason=reason,
        changes=changes, detail={"limits": gone} if gone else None,
    )  # fmt: skip
    transaction.on_commit(publish.publish_routes)
    for limit in limits:
        publish_on_commit(limit)
