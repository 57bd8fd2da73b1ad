from django.db import transaction

from audit.operations import Operation
from audit.record import Actor, record
from controlplane import publish
from controlplane.actions.base import project_name, target_of
from controlplane.models import Route
from controlplane.permissions import Permission, require


@transaction.atomic
def delete_route(route: Route, *, actor: Actor, reason: str) -> None:
    """Take a public model name away; requests for it get 404 from the next second on."""
    require(actor, Permission.ROUTE_DELETE)
    target = target_of(route)
    project = project_name(route.project)
    route.delete()
    record(Operation.ROUTE_DELETED, actor=actor, target=target, project=project, reason=reason)
    transaction.on_commit(publish.publish_routes)
