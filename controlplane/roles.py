"""What can be permitted, which role holds what, and the decision itself. Pure: it asks no database.

`Permission` is the registry; `PERMISSIONS_OF` is all that the built-in roles are. docs/roles.md is drawn from both
(``manage.py draw_roles``).
"""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Literal, NamedTuple
from uuid import UUID

from django.db.models import TextChoices
from django.utils.translation import gettext_lazy as _


class Permission(StrEnum):
    """``noun.verb``. Every action asks for exactly one; reading a noun asks for its ``.read``."""

    PROJECT_READ = "project.read"
    PROJECT_CREATE = "project.create"
    PROJECT_CHANGE = "project.change"
    MODEL_READ = "model.read"
    MODEL_CREATE = "model.create"
    VERSION_CREATE = "version.create"
    VERSION_PRICE = "version.price"
    VERSION_RETIRE = "version.retire"
    DEPLOYMENT_READ = "deployment.read"
    DEPLOYMENT_CREATE = "deployment.create"
    DEPLOYMENT_CHANGE = "deployment.change"
    DEPLOYMENT_SCALE = "deployment.scale"
    DEPLOYMENT_DELETE = "deployment.delete"
    ROUTE_READ = "route.read"
    ROUTE_CREATE = "route.create"
    ROUTE_CHANGE = "route.change"
    ROUTE_DELETE = "route.delete"
    API_KEY_READ = "api_key.read"
    API_KEY_CREATE = "api_key.create"
    API_KEY_CHANGE = "api_key.change"
    API_KEY_ROTATE = "api_key.rotate"
    API_KEY_REVOKE = "api_key.revoke"
    NODE_READ = "node.read"
    USAGE_READ = "usage.read"
    LIMIT_READ = "limit.read"
    LIMIT_CHANGE = "limit.change"
    USER_READ = "user.read"
    USER_CREATE = "user.create"
    USER_CHANGE = "user.change"
    SERVICE_ACCOUNT_CREATE = "service_account.create"
    SERVICE_ACCOUNT_CHANGE = "service_account.change"
    TOKEN_READ = "token.read"  # noqa: S105 - a name, not a secret
    TOKEN_CREATE = "token.create"  # noqa: S105
    TOKEN_REVOKE = "token.revoke"  # noqa: S105
    ROLE_READ = "role.read"
    ROLE_GRANT = "role.grant"
    MASTER_KEY_ROTATE = "master_key.rotate"
    ALERT_READ = "alert.read"
    ALERT_ACKNOWLEDGE = "alert.acknowledge"
    ALERT_RULE_CREATE = "alert_rule.create"
    ALERT_RULE_CHANGE = "alert_rule.change"
    ALERT_RULE_DELETE = "alert_rule.delete"
    SILENCE_CREATE = "silence.create"
    SILENCE_END = "silence.end"
    CHANNEL_READ = "channel.read"
    CHANNEL_CREATE = "channel.create"
    CHANNEL_CHANGE = "channel.change"
    CHANNEL_TEST = "channel.test"
    CHANNEL_DELETE = "channel.delete"
    AUDIT_READ = "audit.read"
    AUDIT_EXPORT = "audit.export"
    AUDIT_BODY_READ = "audit_body.read"
    AUDIT_BODY_ERASE = "audit_body.erase"
    AUDIT_BODY_RELEASE = "audit_body.release"
    AUDIT_RETIRE = "audit.retire"
    AUDIT_HOLD_READ = "audit_hold.read"
    AUDIT_HOLD_PLACE = "audit_hold.place"
    AUDIT_HOLD_LIFT = "audit_hold.lift"


class Role(TextChoices):
    """The built-in roles, from most to least."""

    OWNER = "owner", _("Owner")
    OPERATOR = "operator", _("Operator")
    DEVELOPER = "developer", _("Developer")
    AUDITOR = "auditor", _("Auditor")
    VIEWER = "viewer", _("Viewer")


P = Permission
_VIEWER = frozenset({
    P.PROJECT_READ, P.MODEL_READ, P.DEPLOYMENT_READ, P.ROUTE_READ, P.API_KEY_READ, P.LIMIT_READ, P.NODE_READ,
    P.USAGE_READ, P.ALERT_READ, P.CHANNEL_READ,
})  # fmt: skip
_DEVELOPER = _VIEWER | {P.API_KEY_CREATE, P.API_KEY_CHANGE, P.API_KEY_ROTATE, P.API_KEY_REVOKE}
_OPERATOR = _DEVELOPER | {
    P.MODEL_CREATE, P.VERSION_CREATE, P.VERSION_PRICE, P.VERSION_RETIRE,
    P.DEPLOYMENT_CREATE, P.DEPLOYMENT_CHANGE, P.DEPLOYMENT_SCALE, P.DEPLOYMENT_DELETE,
    P.ROUTE_CREATE, P.ROUTE_CHANGE, P.ROUTE_DELETE,
    P.LIMIT_CHANGE, P.AUDIT_READ,
    P.ALERT_ACKNOWLEDGE, P.ALERT_RULE_CREATE, P.ALERT_RULE_CHANGE, P.ALERT_RULE_DELETE, P.SILENCE_CREATE, P.SILENCE_END,
    P.CHANNEL_CREATE, P.CHANNEL_CHANGE, P.CHANNEL_TEST, P.CHANNEL_DELETE,
}  # fmt: skip

PERMISSIONS_OF: dict[Role, frozenset[Permission]] = {
    Role.OWNER: frozenset(Permission),
    Role.OPERATOR: _OPERATOR,
    Role.DEVELOPER: _DEVELOPER,
    Role.AUDITOR: frozenset({P.AUDIT_READ, P.AUDIT_EXPORT, P.AUDIT_BODY_READ}),
    Role.VIEWER: _VIEWER,
}


class Grant(NamedTuple):
    """A role on one project, or on the platform: that is on everything."""

    role: Role
    project: UUID | None
    name: str = ""
    """of the project"""


@dataclass(frozen=True, slots=True)
class Standing:
    """What somebody holds at one moment. Whoever is unknown or switched off is anonymous."""

    kind: Literal["system", "user", "service_account", "anonymous"]
    superuser: bool = False
    """break-glass: a platform owner whatever the bindings say"""
    grants: frozenset[Grant] = frozenset()
    suspended_until: datetime | None = None
    """the guard's answer to something abnormal: until then they hold nothing"""


class Reason(StrEnum):
    """Why something is permitted or not."""

    SYSTEM = "system"
    SUPERUSER = "superuser"
    ROLE_ON_PLATFORM = "role_on_platform"
    ROLE_ON_PROJECT = "role_on_project"
    NOT_SIGNED_IN = "not_signed_in"
    SUSPENDED = "suspended"
    NO_ROLE_HERE = "no_role_here"
    ROLE_LACKS_PERMISSION = "role_lacks_permission"


class Decision(NamedTuple):
    allowed: bool
    reason: Reason


def decide(standing: Standing, permission: Permission, project: UUID | None) -> Decision:
    """May they do this to something of the project? None is the platform: a role on a project does not reach it."""
    if standing.kind == "system":
        return Decision(True, Reason.SYSTEM)
    if standing.kind == "anonymous" or standing.suspended_until:
        return Decision(False, Reason.SUSPENDED if standing.suspended_until else Reason.NOT_SIGNED_IN)
    if standing.superuser:
        return Decision(True, Reason.SUPERUSER)
    here = [grant for grant in standing.grants if grant.project in {None, project}]
    holding = [grant for grant in here if permission in PERMISSIONS_OF[grant.role]]
    if any(grant.project is None for grant in holding):
        return Decision(True, Reason.ROLE_ON_PLATFORM)
    if holding:
        return Decision(True, Reason.ROLE_ON_PROJECT)
    return Decision(False, Reason.ROLE_LACKS_PERMISSION if here else Reason.NO_ROLE_HERE)


class Reach(NamedTuple):
    """How far a permission goes: over everything, or over these projects."""

    everything: bool
    projects: frozenset[UUID] = frozenset()
    names: frozenset[str] = frozenset()
    """of the same projects: the register tells them by name"""

    def __bool__(self) -> bool:
        return self.everything or bool(self.projects)


def reach(standing: Standing, permission: Permission) -> Reach:
    """Where `decide` says yes."""
    if decide(standing, permission, None).allowed:
        return Reach(everything=True)
    projects = {grant.project: grant.name for grant in standing.grants if grant.project is not None}
    held = {project: name for project, name in projects.items() if decide(standing, permission, project).allowed}
    return Reach(everything=False, projects=frozenset(held), names=frozenset(held.values()))


def may_grant(standing: Standing, role: Role, project: UUID | None) -> Decision:
    """Only who may grant there, and never more than they hold there themselves."""
    for permission in (Permission.ROLE_GRANT, *sorted(PERMISSIONS_OF[role])):
        decision = decide(standing, permission, project)
        if not decision.allowed:
            return decision
    return decision
