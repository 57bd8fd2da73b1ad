"""Who may ask what of a view: its own table says, and what does not stand there is refused."""

from typing import Any

from rest_framework.permissions import BasePermission
from rest_framework.request import Request

from controlplane.access.asking import standing_in
from controlplane.guard import suspended_error
from controlplane.permissions import refusal
from controlplane.roles import Permission, reach


class Permitted(BasePermission):
    """The view's `permissions` name what each of its operations needs; those in its `own` everybody may ask for.

    Lists and creations need it somewhere. One object is looked up among those that may be seen, so that another
    project's answers as one that is not there; before it is changed, `NounViewSet.locked` asks, and the action anew.
    """

    def has_permission(self, request: Request, view: Any) -> bool:
        if not request.user.is_authenticated:
            return False
        if until := standing_in(request).suspended_until:
            raise suspended_error(until)
        if view.action in {None, "metadata"}:  # a method that the path does not know: 405
            return True
        if view.action in getattr(view, "own", ()):
            return True
        needed = view.permissions.get(view.action)
        if needed is None:
            return False
        if not view.detail and not reach(standing_in(request), Permission(needed)):
            raise refusal(Permission(needed))
        return True
