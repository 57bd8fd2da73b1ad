from functools import partial

from django.db import transaction
from django.utils import timezone

from audit.operations import Operation
from audit.record import Actor, record
from controlplane import publish
from controlplane.access import scope
from controlplane.actions.base import target_of
from controlplane.models import ApiKey, User

NAME = "playground"
"""of the keys that the playground makes for a person"""


@transaction.atomic
@scope.everything()
def end_playground_keys(user: User, *, actor: Actor) -> int:
    """Revoke the keys that the console made for this person's questions; it makes another one when it needs one.

    They go with the person's session, whoever ends it, so this asks for no permission of its own and sees them wherever
    they are.
    """
    mine = ApiKey.objects.usable().filter(name=NAME, created_by=user.username, expires_at__isnull=False)
    keys = list(mine.select_for_update(of=("self",)).select_related("project"))
    for key in keys:
        key.revoked_at = timezone.now()
        key.save(update_fields=["revoked_at", "updated_at"])
        record(
            Operation.API_KEY_REVOKED, actor=actor, target=target_of(key), project=key.project.name, reason="signed out"
        )
        transaction.on_commit(partial(publish.publish_key, key))
    return len(keys)
