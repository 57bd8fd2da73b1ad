from collections.abc import Mapping, Sequence
from typing import Any

from django.db import transaction
from django.utils.translation import gettext as _

from audit.operations import Operation
from audit.record import Actor, record
from controlplane import publish, route_rules, route_timeouts
from controlplane.actions.base import difference, project_name, target_of, validate
from controlplane.errors import Invalid
from controlplane.models import Deployment, Project, Route, RouteTarget
from controlplane.permissions import Permission, require
from inference.contract.tables import RuleEntry, TimeoutsEntry


@transaction.atomic
def create_route(
    *,
    name: str,
    targets: Mapping[Deployment, int],
    project: Project | None = None,
    rules: Sequence[RuleEntry] = (),
    affinity_header: str = "",
    timeouts: TimeoutsEntry | None = None,
    actor: Actor,
    reason: str = "",
) -> Route:
    """A public model name. `targets` maps deployments to weights (0 to 1000); the first rule that fits counts."""
    require(actor, Permission.ROUTE_CREATE, project)
    route = Route(name=name, project=project)
    validate(route)
    route.save()
    _set(route, targets=targets, rules=rules, affinity_header=affinity_header, timeouts=timeouts or TimeoutsEntry())
    route.save()
    record(
        Operation.ROUTE_CREATED, actor=actor, target=target_of(route), project=project_name(project), reason=reason,
        detail={field: value for field, value in plain_route(route).items() if value or field == "targets"},
    )  # fmt: skip
    transaction.on_commit(publish.publish_routes)
    return route


@transaction.atomic
def change_route(
    route: Route,
    *,
    targets: Mapping[Deployment, int] | None = None,
    rules: Sequence[RuleEntry] | None = None,
    affinity_header: str | None = None,
    timeouts: TimeoutsEntry | None = None,
    actor: Actor,
    reason: str = "",
) -> Route:
    """Change what is given, each as a whole: traffic goes to these targets and to no others, by these rules alone."""
    require(actor, Permission.ROUTE_CHANGE, route.project)
    route = Route.objects.select_for_update().get(pk=route.pk)
    before = plain_route(route)
    _set(route, targets=targets, rules=rules, affinity_header=affinity_header, timeouts=timeouts)
    if changes := difference(before, plain_route(route)):
        route.save()
        record(
            Operation.ROUTE_CHANGED, actor=actor, target=target_of(route), project=project_name(route.project),
            reason=reason, changes=changes,
        )  # fmt: skip
        transaction.on_commit(publish.publish_routes)
    return route


def _set(
    route: Route,
    *,
    targets: Mapping[Deployment, int] | None,
    rules: Sequence[RuleEntry] | None,
    affinity_header: str | None,
    timeouts: TimeoutsEntry | None,
) -> None:
    if targets is not None:
        _write_targets(route, targets)
    if targets is not None or rules is not None:  # the rules have to fit the targets, whichever of them is new
        wanted = route_rules.read(route.rules) if rules is None else rules
        route.rules = route_rules.stored(route_rules.checked(wanted, _weights(route)))
    if affinity_header is not None:
        route.affinity_header = route_rules.checked_affinity(affinity_header)
    if timeouts is not None:
        route_timeouts.check(timeouts)
        route.timeouts = route_timeouts.stored(timeouts)


def plain_route(route: Route) -> dict[str, Any]:
    """What can be set, as the register keeps it."""
    return {
        "targets": _weights(route),
        "rules": route.rules,
        "affinity_header": route.affinity_header,
        "timeouts": route.timeouts,
    }


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
