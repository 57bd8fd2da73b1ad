"""Somebody always owns the platform: whoever would take away its last owner is refused."""

from django.db import connection
from django.db.models import Q, QuerySet
from django.utils.translation import gettext as _

from controlplane.errors import Conflict
from controlplane.models import RoleBinding, User
from controlplane.roles import Role

_LOCK = 0x5B0C_0001  # any number that no other advisory lock of ours has


def owners() -> QuerySet[User]:
    """People who own the platform and can act: by their role, or as superusers."""
    by_role = RoleBinding.objects.filter(role=Role.OWNER, project=None).values("user")
    return User.objects.filter(Q(is_superuser=True) | Q(pk__in=by_role), is_active=True)


def one_at_a_time() -> None:
    """Wait for whoever else takes owners away: until the transaction ends there is nobody else. Call it first."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s)", [_LOCK])


def check_one_is_left() -> None:
    """Raise `Conflict` when the change just made in this transaction took the last owner away. Service accounts that
    own the platform do not count: nobody can sign in as one.
    """
    if not owners().exists():
        raise Conflict(_("The platform needs an owner: make somebody else one first."), code="last_owner")
