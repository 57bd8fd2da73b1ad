"""Who asks in a request, and what they hold: asked once a request, anew in each."""

from typing import Any

from controlplane import actors
from controlplane.access import scope
from controlplane.access.standing import standing_of
from controlplane.roles import Standing


def standing_in(request: Any) -> Standing:
    """What the person or machine behind a request (Django's or DRF's) holds; the database is told at once."""
    plain = getattr(request, "_request", request)
    actor = actors.from_request(request, source="ui")
    who, standing = plain.__dict__.get("signalbox_standing", (None, None))
    if standing is None or who != (actor.type, actor.id):
        standing = standing_of(actor)
        scope.narrow(plain, standing)
        plain.signalbox_standing = (actor.type, actor.id), standing
    found: Standing = standing
    return found
