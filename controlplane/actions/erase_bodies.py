from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from audit.operations import Operation
from audit.record import Actor, Target, record
from controlplane import publish
from controlplane.actions.base import require_reason
from controlplane.errors import Invalid
from controlplane.models import BodyKey, Project
from controlplane.permissions import Permission, require
from controlplane.sealing import Sealed


@transaction.atomic
def erase_bodies(project: Project, *, person: str, actor: Actor, reason: str) -> BodyKey:
    """Shred the key of all that is kept of a person: nobody opens it again, and every event and seal stays as it is.

    What the person sends from now on is encrypted to a new key.
    """
    require(actor, Permission.AUDIT_BODY_ERASE, project)
    require_reason(reason)
    pair = BodyKey.objects.select_for_update().filter(project=project, person=person, shredded_at=None).first()
    if pair is None:
        raise Invalid(
            _("Nothing is kept of %(person)s here.") % {"person": person}, field="person", code="nothing_kept"
        )
    pair.private, pair.shredded_at = Sealed(""), timezone.now()
    pair.save(update_fields=["private", "shredded_at", "updated_at"])
    pair.released.all().delete()
    record(
        Operation.BODIES_ERASED, actor=actor, target=Target("person", person, person), kind="security",
        project=project.name, reason=reason, detail={"key": str(pair.pk)},
    )  # fmt: skip
    transaction.on_commit(lambda: publish.publish_keys_of(project))
    return pair
