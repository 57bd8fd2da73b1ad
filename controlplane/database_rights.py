"""What the processes' role may do in the database that another role owns. Granted anew after every migration.

Everything in the control plane's tables; of the register only to append and, through its row-level security, to read.
"""

from typing import Any

from django.conf import settings
from django.db import DEFAULT_DB_ALIAS, connections
from psycopg import sql

from inference.contract import bodies
from inference.contract.events import ROWS, TABLE

OWNER_ALIAS = "owner"

_TABLES = """
SELECT c.relname, c.relkind FROM pg_class c
WHERE c.relnamespace = current_schema()::regnamespace AND c.relkind IN ('r', 'p', 'S')
"""
_READ_ONLY = frozenset({"django_migrations"})


def owner_alias() -> str:
    """The connection that may change tables: the owner's where there is one, else the processes' own."""
    return OWNER_ALIAS if OWNER_ALIAS in settings.DATABASES else DEFAULT_DB_ALIAS


def grant(using: str, **_kwargs: Any) -> None:
    """Give the processes' role its rights; nothing where it owns the tables itself. Receiver of `post_migrate`."""
    role = settings.DATABASES[DEFAULT_DB_ALIAS].get("USER")
    if not role or using != OWNER_ALIAS or role == settings.DATABASES[OWNER_ALIAS].get("USER"):
        return
    with connections[using].cursor() as cursor:
        cursor.execute(_TABLES)
        for name, kind in cursor.fetchall():
            for privileges in _privileges(name, kind):
                statement = sql.SQL("GRANT {} ON {} {} TO {}").format(
                    sql.SQL(privileges), sql.SQL("SEQUENCE" if kind == "S" else "TABLE"), sql.Identifier(name),
                    sql.Identifier(role),
                )  # fmt: skip
                cursor.execute(statement)


_REGISTER = {
    TABLE: ["SELECT, INSERT"], ROWS: ["INSERT"], bodies.TABLE: ["SELECT"], bodies.ROWS: ["INSERT"],
    "audit_seal": ["SELECT, INSERT"], "audit_checkpoint": ["SELECT, INSERT"],
    "audit_retirement": ["SELECT"],
}  # fmt: skip
"""what is reached of it; its months are reached through these"""


def _privileges(name: str, kind: str) -> list[str]:
    if kind == "S":
        return ["USAGE, SELECT"]
    if name in _REGISTER:
        return _REGISTER[name]
    if name.startswith((TABLE, bodies.TABLE)):
        return []
    return ["SELECT"] if name in _READ_ONLY else ["SELECT, INSERT, UPDATE, DELETE"]
