"""Charts of a deployment. Who keeps the samples draws them, and says so here when it is loaded."""

from collections.abc import Callable

from django.utils.safestring import SafeString

from controlplane.models import Deployment

Drawer = Callable[[Deployment], list[SafeString]]
_drawers: list[Drawer] = []


def register(drawer: Drawer) -> None:
    """Let this one draw from now on."""
    _drawers[:] = [drawer]


def draw(deployment: Deployment) -> list[SafeString]:
    """One SVG a chart; none while nothing is known."""
    return _drawers[-1](deployment) if _drawers else []
