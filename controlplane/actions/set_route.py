from collections.abc import Mapping

from django.db import transaction
from django.utils.translation import gettext as _

from audit.operations import Operation
from audit.record import Actor, record
from controlplane import publish
from controlplane.actions.base import difference, project_name, target_of, validate
from controlplane.errors import Invalid
from controlplane.models import Deployment, Project, Route, RouteTarget
from controlplane.permissions import Permission, require


@transaction.atomic
def create_route(
    *, name: str, targets: Mapping[Deployment, int], project: Project | None = None, actor: Actor, reason: str = ""
) -> Route:
    """A public model name. `targets` maps deployments to weights (0 to 1000)."""
    require(actor, Permission.ROUTE_CREATE, project)
    route = Route(name=name, project=project)
    validate(route)
    route.save()
    _write_targets(route, targets)
    record(
        Operation.ROUTE_CREATED, actor=actor, target=target_of(route), project=project_name(project), reason=reason,
        detail={"targets": _weights(route)},
    )  # fmt: skip
    transaction.on_commit(publish.publish_routes)
    return route


@transaction.atomic
def change_route(route: Route, *, targets: Mapping[Deployment, int], actor: Actor, reason: str = "") -> Route:
    """Send the route's traffic to these deployments with these weights, and to no others."""
    require(actor, Permission.ROUTE_CHANGE, route.project)
    route = Route.objects.select_for_update().get(pk=route.pk)
    before = _weights(route)
    _write_targets(route, targets)
    if changes := difference({"targets": before}, {"targets": _weights(route)}):
        route.save(update_fields=["updated_at"])
        record(
            Operation.ROUTE_CHANGED, actor=actor, target=target_of(route), project=project_name(route.project),
            reason=reason, changes=changes,
        )  # fmt: skip
        transaction.on_commit(publish.publish_routes)
    return route


def _weights(route: Route) -> dict[str, int]:
    return {target.deployment.name: target.weight for target in route.targets.select_related("deployment")}


def _write_targets(route: Route, targets: Mapping[Deployment, int]) -> None:
    for deployment in targets:
        if deployment.deleted_at:
            raise Invalid(_("The deployment %(name)s is being deleted.") % {"name": deployment.name}, field="targets")
        if deployment.project_id not in {None, route.project_id}:
            raise Invalid(
                _("The deployment %(name)s belongs to another project.") % {"name": deployment.name}, field="targets"
            )
    route.targets.exclude(deployment__in=targets).delete()
    kept = {target.deployment_id: target for target in route.targets.all()}
    for deployment, weight in targets.items():
        target = kept.get(deployment.pk) or RouteTarget(route=route, deployment=deployment)
        target.weight = weight
        validate(target)
        target.save()
