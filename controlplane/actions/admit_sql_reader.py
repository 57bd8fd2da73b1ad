from django.conf import settings
from django.db import connection, transaction
from django.utils.translation import gettext as _

from audit.operations import Operation
from audit.record import Actor, record
from controlplane.actions.base import project_name, target_of, validate
from controlplane.errors import Invalid
from controlplane.models import Project, SqlReader
from controlplane.permissions import Permission, require

_ROLE = "SELECT rolsuper OR rolbypassrls OR rolcreaterole FROM pg_roles WHERE rolname = %s"


@transaction.atomic
def admit_sql_reader(role: str, project: Project | None = None, *, actor: Actor, reason: str = "") -> SqlReader:
    """Let a role of the database see a project's rows in `ai_audit_log`; without a project: all rows.

    It must be one of a person or a tool: neither Signalbox's own nor one that could see everything anyway.
    """
    require(actor, Permission.ROLE_GRANT, project)
    with connection.cursor() as cursor:
        cursor.execute(_ROLE, [role])
        found = cursor.fetchone()
    ours = {database.get("USER") for database in settings.DATABASES.values()}
    if found is None:
        raise Invalid(_("There is no role %(role)s in the database.") % {"role": role[:63]}, field="role")
    if found[0] or role in ours:
        raise Invalid(_("This role is too mighty to be a reader."), field="role")
    reader = SqlReader(role=role, project=project)
    validate(reader)
    reader.save()
    record(
        Operation.SQL_READER_ADMITTED, actor=actor, target=target_of(reader), project=project_name(project),
        kind="security", reason=reason,
    )  # fmt: skip
    return reader
