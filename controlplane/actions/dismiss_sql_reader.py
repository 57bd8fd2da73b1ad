from django.db import transaction

from audit.operations import Operation
from audit.record import Actor, record
from controlplane.actions.base import project_name, require_reason, target_of
from controlplane.models import SqlReader
from controlplane.permissions import Permission, require


@transaction.atomic
def dismiss_sql_reader(reader: SqlReader, *, actor: Actor, reason: str) -> None:
    """Show a role of the database no more of a project; it is empty to them at once."""
    require(actor, Permission.ROLE_GRANT, reader.project)
    require_reason(reason)
    record(
        Operation.SQL_READER_DISMISSED, actor=actor, target=target_of(reader), kind="security",
        project=project_name(reader.project), reason=reason,
    )  # fmt: skip
    reader.delete()
