"""The register refuses TRUNCATE to everybody; a test's owner of the tables takes the triggers away for that long."""

from typing import Any

from django.db.backends.postgresql.operations import DatabaseOperations

_EACH = """
DO $$
DECLARE place regclass;
BEGIN
    FOR place IN SELECT tgrelid::regclass FROM pg_trigger WHERE tgname = 'audit_refuse'
    LOOP EXECUTE format('ALTER TABLE %s {} TRIGGER audit_refuse', place); END LOOP;
END $$;
"""
LET, FORBID = _EACH.replace("{}", "DISABLE"), _EACH.replace("{}", "ENABLE ALWAYS")
_sql_flush = DatabaseOperations.sql_flush


def _flush(self: Any, *args: Any, **kwargs: Any) -> list[str]:
    statements = _sql_flush(self, *args, **kwargs)
    return [LET, *statements, FORBID] if statements else []


def let_tests_clear_away() -> None:
    """Django's flush after a test that commits goes past the triggers."""
    DatabaseOperations.sql_flush = _flush  # type: ignore[method-assign]
