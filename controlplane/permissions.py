"""Permissions by name, and the one check that every action makes first."""

from enum import StrEnum

from django.utils.translation import gettext as _

from audit.record import Actor
from controlplane.errors import NotAllowed
from controlplane.models import User


class Permission(StrEnum):
    """``noun.verb``, as roles will list them."""

    PROJECT_CREATE = "project.create"
    PROJECT_CHANGE = "project.change"
    MODEL_CREATE = "model.create"
    VERSION_CREATE = "version.create"
    VERSION_RETIRE = "version.retire"
    DEPLOYMENT_CREATE = "deployment.create"
    DEPLOYMENT_CHANGE = "deployment.change"
    DEPLOYMENT_SCALE = "deployment.scale"
    DEPLOYMENT_DELETE = "deployment.delete"
    ROUTE_CREATE = "route.create"
    ROUTE_CHANGE = "route.change"
    ROUTE_DELETE = "route.delete"
    API_KEY_CREATE = "api_key.create"
    API_KEY_REVOKE = "api_key.revoke"
    LIMIT_CHANGE = "limit.change"
    USER_CREATE = "user.create"
    TOKEN_CREATE = "token.create"  # noqa: S105 - a name, not a secret
    TOKEN_REVOKE = "token.revoke"  # noqa: S105


def require(actor: Actor, permission: Permission) -> None:
    """Raise `NotAllowed` unless the actor holds the permission.

    The system itself (worker, command line of the host) may do everything; of people, superusers may, until roles come.
    Asked anew each time, so that taking the right away works at once.
    """
    if actor.type == "system":
        return
    if actor.type == "user" and User.objects.filter(pk=actor.id, is_active=True, is_superuser=True).exists():
        return
    raise NotAllowed(_("You may not do this: it needs the permission %(permission)s.") % {"permission": permission})
