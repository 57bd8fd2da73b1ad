"""From an actor to what they hold. One query, never remembered beyond a request: a right taken away is gone at once."""

from collections.abc import Iterable
from uuid import UUID

from audit.record import Actor
from controlplane.models import ServiceAccount, User
from controlplane.roles import Grant, Role, Standing

SYSTEM = Standing(kind="system")
ANONYMOUS = Standing(kind="anonymous")


def standing_of(actor: Actor) -> Standing:
    """What the actor holds now. The system itself (worker, command line of the host) holds everything."""
    match actor.type:
        case "system":
            return SYSTEM
        case "user":
            rows = User.objects.filter(pk=actor.id, is_active=True).values_list(
                "is_superuser", "role_bindings__role", "role_bindings__project"
            )
            return _person(list(rows))
        case "service_account":
            account = ServiceAccount.objects.filter(pk=actor.id, is_active=True)
            bindings = list(account.values_list("role_bindings__role", "role_bindings__project"))
            return Standing(kind="service_account", grants=_grants(bindings)) if bindings else ANONYMOUS
    return ANONYMOUS


def _person(rows: list[tuple[bool, str | None, UUID | None]]) -> Standing:
    if not rows:
        return ANONYMOUS
    grants = _grants((role, project) for _superuser, role, project in rows)
    return Standing(kind="user", superuser=rows[0][0], grants=grants)


def _grants(rows: Iterable[tuple[str | None, UUID | None]]) -> frozenset[Grant]:
    """Without a binding the outer join gives one row of nothing. A role that no release knows holds nothing."""
    return frozenset(Grant(Role(role), project) for role, project in rows if role in Role.values)
