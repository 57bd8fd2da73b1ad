from typing import Any

from rest_framework.permissions import BasePermission
from rest_framework.request import Request


class IsStaff(BasePermission):
    """Active staff may read. What they may change, each action decides itself."""

    def has_permission(self, request: Request, view: Any) -> bool:
        del view
        user = request.user
        return bool(user and user.is_authenticated and user.is_active and user.is_staff)
