"""The playground's API keys: one for each person and project, an hour long, held in this process's memory only.

They are made by the same action as any key, so the register and the key list name them; a stored one would be a secret
at rest. They end with the person's session (`actions.end_playground_keys`).
"""

import threading
from datetime import datetime, timedelta
from typing import NamedTuple

from django.utils import timezone
from django.utils.translation import gettext as _

from audit.record import Actor
from controlplane.access.lookups import access
from controlplane.actions.create_api_key import create_api_key
from controlplane.actions.end_playground_keys import NAME
from controlplane.errors import Invalid
from controlplane.models import ApiKey, Project, Route, User
from controlplane.permissions import Permission, require
from controlplane.roles import Standing

LIFETIME = timedelta(hours=1)
MARGIN = timedelta(minutes=11)  # a long answer must not outlive its key
MOST_HELD = 1_000


class Held(NamedTuple):
    token: str
    key_id: str
    expires_at: datetime
    fresh: bool = False
    """just made: the gateways may not know it yet"""


_held: dict[tuple[int, str], Held] = {}
_lock = threading.Lock()


def key_for(user: User, standing: Standing, route_name: str, actor: Actor) -> Held:
    """A key that may call the route. Raises `Refused`: unknown route, no project, or no right to make keys."""
    project = _project_of(standing, route_name)
    require(actor, Permission.API_KEY_CREATE, project)  # a key that is held already asks for the right as well
    place = (user.pk, str(project.pk))
    with _lock:
        held = _held.get(place)
        if held and held.expires_at - MARGIN > timezone.now() and _still_good(standing, held):
            return held
        made = create_api_key(
            project=project, name=NAME, expires_at=timezone.now() + LIFETIME, actor=actor, reason=NAME
        )
        if len(_held) >= MOST_HELD:
            _held.clear()
        kept = Held(made.token, made.key.key_id, timezone.now() + LIFETIME)
        _held[place] = kept
        return kept._replace(fresh=True)


def _still_good(standing: Standing, held: Held) -> bool:
    return access(ApiKey, standing).filter(key_id=held.key_id, revoked_at=None).exists()


def _project_of(standing: Standing, route_name: str) -> Project:
    """The route's own project; for a route of all projects the person's first one."""
    route = access(Route, standing).select_related("project").filter(name=route_name.replace("\x00", "")).first()
    if route is None:
        raise Invalid(_("There is no such route."), field="model")
    mine = access(Project, standing, Permission.API_KEY_CREATE)
    project = route.project or mine.order_by("created_at").first()
    if project is None:
        raise Invalid(_("Create a project first: the question is counted for one."))
    return project
