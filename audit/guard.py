"""What a request may see of the register. Who may is decided above; this floor only asks.

`settings.REGISTER_REACH` names a function from a request to the projects (by name) whose entries it may see: None for
the whole register, an empty set for nothing of it.
"""

from collections.abc import Callable
from functools import cache
from typing import Any

from django.conf import settings
from django.db.models import QuerySet
from django.utils.module_loading import import_string

from audit.models import Event

Names = frozenset[str]


@cache
def _reach() -> Callable[[Any], Names | None]:
    found: Callable[[Any], Names | None] = import_string(settings.REGISTER_REACH)
    return found


def may_read(request: Any) -> bool:
    """True when the request may see any of it."""
    names = _reach()(request)
    return names is None or bool(names)


def may_export(request: Any) -> bool:
    """True when the request may take any of it away."""
    found: Callable[[Any], bool] = import_string(settings.REGISTER_EXPORT)
    return found(request)


def readable(request: Any) -> QuerySet[Event]:
    """The entries that the request may see: all, or those of its projects."""
    names = _reach()(request)
    return Event.objects.all() if names is None else Event.objects.filter(project__in=sorted(names))
