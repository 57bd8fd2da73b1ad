from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

from django.conf import settings
from django.db import transaction
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext as _

from audit.operations import Operation
from audit.record import Actor, record
from controlplane import publish
from controlplane.actions.base import target_of, validate
from controlplane.actions.scopes import endpoint_names, networks
from controlplane.errors import Invalid
from controlplane.models import ApiKey, Project, Route
from controlplane.permissions import Permission, require
from inference.contract import keys


class NewKey(NamedTuple):
    """The row and the whole key; the token is shown once and stored nowhere."""

    key: ApiKey
    token: str


@transaction.atomic
def create_api_key(
    *,
    project: Project,
    name: str,
    routes: Sequence[str] | None = None,
    endpoints: Sequence[str] | None = None,
    cidrs: Sequence[str] | None = None,
    expires_at: datetime | None = None,
    actor: Actor,
    reason: str = "",
) -> NewKey:
    """A key for the gateway. `routes` None: all routes that the project may call; likewise endpoints and networks."""
    require(actor, Permission.API_KEY_CREATE, project)
    check_expiry(expires_at, timezone.now())
    check_routes(project, routes)
    generated = keys.generate()
    key = ApiKey(
        project=project, name=name, key_id=generated.id, created_by=actor.name, expires_at=expires_at,
        digest=keys.digest(generated.token, keys.pepper(settings.SECRET_KEY)),
        routes=sorted(set(routes)) if routes else None,
        endpoints=endpoint_names(endpoints), cidrs=networks(cidrs),
    )  # fmt: skip
    validate(key)
    key.save()
    record(
        Operation.API_KEY_CREATED, actor=actor, target=target_of(key), project=project.name, reason=reason,
        detail={
            "routes": key.routes, "endpoints": key.endpoints, "cidrs": key.cidrs,
            "expires_at": expires_at.isoformat() if expires_at else None,
        },
    )  # fmt: skip
    transaction.on_commit(lambda: publish.publish_key(key))
    return NewKey(key, generated.token)


def check_expiry(expires_at: datetime | None, now: datetime) -> None:
    """Raise `Invalid` for an end that lies behind."""
    if expires_at and expires_at <= now:
        raise Invalid(_("The expiry lies in the past."), field="expires_at")


def check_routes(project: Project, routes: Sequence[str] | None) -> None:
    """Raise `Invalid` for a route that the project may not call."""
    mine = Q(project=None) | Q(project=project)
    known = set(Route.objects.filter(mine, name__in=routes or ()).values_list("name", flat=True))
    if missing := sorted(set(routes or ()) - known):
        raise Invalid(_("There is no route %(name)s for this project.") % {"name": missing[0]}, field="routes")
