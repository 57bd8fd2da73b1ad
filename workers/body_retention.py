"""Contents are kept for some time only; their months go whole, and the register says so. Their events stay."""

import logging
from datetime import datetime

from django.db import transaction

from audit import body_partitions
from audit.models import Hold
from audit.operations import Operation
from audit.record import Target, record
from audit.rolling import is_frozen
from controlplane.actors import SYSTEM
from controlplane.database_rights import owner_alias

logger = logging.getLogger(__name__)


def drop_old_bodies(*, days: int, now: datetime) -> list[str]:
    """Drop the months in which nothing is younger than so many days; answers their names.

    A month holds many projects, so none goes while there is a legal hold, or while the register fails its verification.
    """
    if Hold.objects.exists() or is_frozen():
        logger.info("no contents are dropped: there is a legal hold, or the register fails its verification")
        return []
    names = body_partitions.due(body_partitions.existing(owner_alias()), now, days)
    if names:
        using = owner_alias()  # what is dropped and the entry that says so stand or fall together
        with transaction.atomic(using=using):
            record(
                Operation.BODIES_DROPPED, actor=SYSTEM, target=Target("bodies", "", ", ".join(names)), kind="system",
                reason=f"older than {days} days", detail={"months": names, "days": days}, using=using,
            )  # fmt: skip
            body_partitions.drop(names, using)
    return names
