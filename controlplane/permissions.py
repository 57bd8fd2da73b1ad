"""The one check that every action makes first. What there is to permit, and who holds it, stands in `roles`."""

import logging

from django.utils.translation import gettext as _

from audit.record import Actor
from controlplane.access.standing import standing_of
from controlplane.errors import NotAllowed
from controlplane.guard import suspended_error
from controlplane.models import Project
from controlplane.roles import Permission, decide

__all__ = ["Permission", "refusal", "require"]

logger = logging.getLogger(__name__)


def require(actor: Actor, permission: Permission, project: Project | None = None) -> None:
    """Raise `NotAllowed` unless the actor holds the permission on the project; None: on the platform.

    Asked anew each time, so that taking the right away works at once.
    """
    standing = standing_of(actor)
    decision = decide(standing, permission, project.pk if project else None)
    if not decision.allowed:
        where = project.name if project else "the platform"
        logger.info("refused: %s %s, %s on %s: %s", actor.type, actor.id, permission, where, decision.reason)
        if standing.suspended_until:
            raise suspended_error(standing.suspended_until)
        raise refusal(permission)


def refusal(permission: Permission) -> NotAllowed:
    """What is raised when it is not held."""
    return NotAllowed(_("You may not do this: it needs the permission %(permission)s.") % {"permission": permission})
