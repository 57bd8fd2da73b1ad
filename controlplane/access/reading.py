"""Who may read what is kept of a request's contents."""

from typing import Any

from audit.models import Event
from controlplane.access.asking import standing_in
from controlplane.roles import Permission, reach


def may_read_bodies(request: Any, event: Event) -> bool:
    """True when the request may read them where the event belongs. The action itself asks again."""
    held = reach(standing_in(request), Permission.AUDIT_BODY_READ)
    return held.everything or event.project in held.names
