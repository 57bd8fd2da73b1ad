from datetime import timedelta

from django.conf import settings
from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from audit.operations import Operation
from audit.record import Actor, record
from controlplane import publish
from controlplane.actions.base import difference, snapshot, target_of
from controlplane.actions.create_api_key import NewKey
from controlplane.errors import Conflict, Invalid
from controlplane.models import ApiKey
from controlplane.permissions import Permission, require
from inference.contract import keys

LONGEST_OVERLAP = timedelta(days=30)
USUAL_OVERLAP = timedelta(days=1)
_TOLD = ("rotated_at", "previous_expires_at")


@transaction.atomic
def rotate_api_key(key: ApiKey, *, overlap: timedelta = USUAL_OVERLAP, actor: Actor, reason: str = "") -> NewKey:
    """Another secret for the key; the old one is let in for `overlap` more, 0: no longer than a second.

    Id, limits, scopes and history stay. A secret from before the old one ends at once: a key has two at most.
    """
    require(actor, Permission.API_KEY_ROTATE, key.project)
    if not timedelta(0) <= overlap <= LONGEST_OVERLAP:
        raise Invalid(_("The old secret may live on for 30 days at most."), field="overlap_seconds")
    key = ApiKey.objects.select_for_update(of=("self",)).select_related("project").get(pk=key.pk)
    if not key.usable:
        raise Conflict(_("The key has ended: make a new one."), code="key_ended")
    before = snapshot(key, _TOLD)
    generated, now = keys.generate(key.key_id), timezone.now()
    key.previous_digest = key.digest if overlap else ""
    key.previous_expires_at = now + overlap if overlap else None
    key.previous_last_used_at = None
    key.digest = keys.digest(generated.token, keys.pepper(settings.SECRET_KEY))
    key.rotated_at = now
    key.save()
    record(
        Operation.API_KEY_ROTATED, actor=actor, target=target_of(key), project=key.project.name, reason=reason,
        changes=difference(before, snapshot(key, _TOLD)),
    )  # fmt: skip
    transaction.on_commit(lambda: publish.publish_key(key))
    return NewKey(key, generated.token)
