"""What somebody may see of each noun: the first wall between projects. Views and pages ask here, never the models.

What belongs to a project is seen by those who may read its kind there; what belongs to the platform by those who may
read its kind on the platform. Models, versions and routes of the platform are there for every project, so whoever reads
those of one project sees them too.
"""

from collections.abc import Callable
from typing import NamedTuple, TypeVar
from uuid import UUID

from django.db import models
from django.db.models import Exists, OuterRef, Q, QuerySet

from audit.models import Hold
from controlplane.models import (
    Alert,
    AlertRule,
    ApiKey,
    Channel,
    Delivery,
    Deployment,
    Export,
    Limit,
    ManagementToken,
    Model,
    ModelVersion,
    Node,
    Project,
    Replica,
    ReplicaTransition,
    RoleBinding,
    Route,
    ServiceAccount,
    Silence,
    Suspension,
    Usage,
    User,
    UserSession,
)
from controlplane.roles import Permission, Standing, reach

Projects = list[UUID]
_M = TypeVar("_M", bound=models.Model)


class Sight(NamedTuple):
    """Which permission shows a noun, and which of its rows belong to some projects."""

    permission: Permission
    of_projects: Callable[[Projects], Q]
    of_platform: Q | None = None
    """what is there for every project"""


def _owned(path: str) -> Callable[[Projects], Q]:
    return lambda projects: Q(**{f"{path}__in": projects})


def _limits(projects: Projects) -> Q:
    """A limit belongs to its key's project, else to the project it limits, else to its route's.

    Found by three ways on their own: joined with all keys and routes first, a page took as long as there are keys.
    """
    of_keys = Limit.objects.filter(api_key__project__in=projects)
    of_routes = Limit.objects.filter(api_key=None, project=None, route__project__in=projects)
    return Q(pk__in=of_keys.values("pk")) | Q(project__in=projects) | Q(pk__in=of_routes.values("pk"))


def _members(projects: Projects) -> Q:
    return Q(pk__in=RoleBinding.objects.filter(project__in=projects).values("user"))


def _of_the_platform(projects: Projects) -> Q:
    """No project has any."""
    del projects
    return Q(pk__in=())


SIGHTS: dict[type[models.Model], Sight] = {
    Project: Sight(Permission.PROJECT_READ, _owned("pk")),
    Model: Sight(Permission.MODEL_READ, _owned("project"), Q(project=None)),
    ModelVersion: Sight(Permission.MODEL_READ, _owned("model__project"), Q(model__project=None)),
    Deployment: Sight(Permission.DEPLOYMENT_READ, _owned("project")),
    Replica: Sight(Permission.DEPLOYMENT_READ, _owned("deployment__project")),
    ReplicaTransition: Sight(Permission.DEPLOYMENT_READ, _owned("replica__deployment__project")),
    Route: Sight(Permission.ROUTE_READ, _owned("project"), Q(project=None)),
    ApiKey: Sight(Permission.API_KEY_READ, _owned("project")),
    Limit: Sight(Permission.LIMIT_READ, _limits),
    AlertRule: Sight(Permission.ALERT_READ, _owned("project")),
    Alert: Sight(Permission.ALERT_READ, _owned("project")),
    Silence: Sight(Permission.ALERT_READ, _owned("project")),
    Channel: Sight(Permission.CHANNEL_READ, _owned("project")),
    Delivery: Sight(Permission.CHANNEL_READ, _owned("channel__project")),
    Export: Sight(Permission.AUDIT_EXPORT, _owned("project")),
    User: Sight(Permission.USER_READ, _members),
    ServiceAccount: Sight(Permission.USER_READ, _owned("project")),
    ManagementToken: Sight(Permission.TOKEN_READ, _owned("service_account__project")),
    RoleBinding: Sight(Permission.ROLE_READ, _owned("project")),
    Node: Sight(Permission.NODE_READ, _of_the_platform),
    Usage: Sight(Permission.USAGE_READ, _owned("project")),
    UserSession: Sight(Permission.USER_CHANGE, _of_the_platform),
    Suspension: Sight(Permission.USER_READ, _of_the_platform),
    Hold: Sight(Permission.AUDIT_HOLD_READ, _of_the_platform),
}


def access(noun: type[_M], standing: Standing, permission: Permission | None = None) -> QuerySet[_M]:
    """The rows that somebody may see; with `permission`, those that belong to where they hold that one."""
    sight = SIGHTS[noun]
    rows = noun._default_manager.all()  # noqa: SLF001 - Django's public way for any model
    held = reach(standing, permission or sight.permission)
    if held.everything:
        return rows
    if not held:
        return rows.none()
    mine = sight.of_projects(sorted(held.projects))
    return rows.filter(mine if permission or sight.of_platform is None else mine | sight.of_platform)


def access_and_own(noun: type[_M], standing: Standing, user: object) -> QuerySet[_M]:
    """Of a noun that belongs to people: what somebody may see, and what is their own."""
    seen = access(noun, standing)
    return seen | noun._default_manager.filter(user=user) if isinstance(user, User) else seen  # noqa: SLF001


def grantable(standing: Standing) -> QuerySet[User]:
    """People whom somebody may give a role: who may grant anywhere may name anybody, as one invites by name."""
    people = User.objects.filter(is_active=True)
    return people if reach(standing, Permission.ROLE_GRANT) else people.none()


def routable(standing: Standing) -> QuerySet[Deployment]:
    """Deployments that a route may lead to: those that are seen, and where a route of one's own leads already."""
    mine = access(Route, standing, Permission.ROUTE_CHANGE).filter(targets__deployment=OuterRef("pk"))
    return Deployment.objects.filter(Q(pk__in=access(Deployment, standing).values("pk")) | Q(Exists(mine)))
