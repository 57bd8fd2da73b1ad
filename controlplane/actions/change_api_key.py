from typing import Any

from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from audit.operations import Operation
from audit.record import Actor, record
from controlplane import publish
from controlplane.actions.base import difference, snapshot, target_of, validate
from controlplane.actions.create_api_key import check_expiry, check_routes
from controlplane.actions.scopes import endpoint_names, networks
from controlplane.errors import Conflict
from controlplane.models import ApiKey
from controlplane.permissions import Permission, require

CHANGEABLE = frozenset({"name", "routes", "endpoints", "cidrs", "expires_at"})


@transaction.atomic
def change_api_key(key: ApiKey, *, actor: Actor, reason: str = "", **fields: Any) -> ApiKey:
    """Give a key another name, other scopes or another end. `fields` are some of `CHANGEABLE`; the secret stays."""
    require(actor, Permission.API_KEY_CHANGE, key.project)
    if unknown := fields.keys() - CHANGEABLE:
        raise TypeError(f"not changeable: {', '.join(sorted(unknown))}")
    key = ApiKey.objects.select_for_update(of=("self",)).select_related("project").get(pk=key.pk)
    if key.revoked_at is not None:
        raise Conflict(_("The key has ended: make a new one."), code="key_ended")
    before = snapshot(key, fields)
    for name, value in fields.items():
        setattr(key, name, value)
    _check(key, fields)
    validate(key)
    if changes := difference(before, snapshot(key, fields)):
        key.save()
        record(
            Operation.API_KEY_CHANGED, actor=actor, target=target_of(key), project=key.project.name, reason=reason,
            changes=changes,
        )  # fmt: skip
        transaction.on_commit(lambda: publish.publish_key(key))
    return key


def _check(key: ApiKey, fields: dict[str, Any]) -> None:
    """Scopes in their one way to write them. What is not changed is not judged again."""
    if "expires_at" in fields:
        check_expiry(key.expires_at, timezone.now())
    if "routes" in fields:
        check_routes(key.project, key.routes)
        key.routes = sorted(set(key.routes)) if key.routes else None
    if "endpoints" in fields:
        key.endpoints = endpoint_names(key.endpoints)
    if "cidrs" in fields:
        key.cidrs = networks(key.cidrs)
