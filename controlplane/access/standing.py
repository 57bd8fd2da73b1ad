"""From an actor to what they hold. One query, never remembered beyond a request: a right taken away is gone at once."""

from collections.abc import Iterable
from typing import Any
from uuid import UUID

from django.db.models import Subquery
from django.utils import timezone

from audit.record import Actor
from controlplane.models import ServiceAccount, Suspension, User
from controlplane.roles import Grant, Role, Standing

SYSTEM = Standing(kind="system")
ANONYMOUS = Standing(kind="anonymous")
_BINDINGS = ("role_bindings__role", "role_bindings__project", "role_bindings__project__name")


def standing_of(actor: Actor) -> Standing:
    """What the actor holds now. The system itself (worker, command line of the host) holds everything."""
    match actor.type:
        case "system":
            return SYSTEM
        case "user":
            people = User.objects.filter(pk=actor.id, is_active=True).annotate(suspended=_suspended(actor))
            rows = list(people.values_list("is_superuser", "suspended", *_BINDINGS))
            return Standing("user", rows[0][0], _grants(row[2:] for row in rows), rows[0][1]) if rows else ANONYMOUS
        case "service_account":
            machines = ServiceAccount.objects.filter(pk=actor.id, is_active=True).annotate(suspended=_suspended(actor))
            rows = list(machines.values_list("suspended", *_BINDINGS))
            grants = _grants(row[1:] for row in rows)
            return Standing("service_account", grants=grants, suspended_until=rows[0][0]) if rows else ANONYMOUS
    return ANONYMOUS


def _suspended(actor: Actor) -> Subquery:
    """Until when, in the same query."""
    active = Suspension.objects.active(timezone.now()).filter(actor_type=actor.type, actor_id=actor.id)
    return Subquery(active.order_by("-until").values("until")[:1])


def _grants(rows: Iterable[tuple[Any, ...]]) -> frozenset[Grant]:
    """Without a binding the outer join gives one row of nothing. A role that no release knows holds nothing."""
    found: Iterable[tuple[str | None, UUID | None, str | None]] = rows
    return frozenset(Grant(Role(role), project, name or "") for role, project, name in found if role in Role.values)
