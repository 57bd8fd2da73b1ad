"""A part of a ticket is found as one of a reason is: the search and its index read both."""

from django.db import migrations

OLD = "actor_name, reason)"
# The function that searches holds its expression as a text; it is taken as it stands, so that nothing else changes.
REPLACED = """
DO $$
DECLARE body text := pg_get_functiondef('audit_search'::regproc);
BEGIN
    IF strpos(body, '{old}') = 0 THEN RAISE 'audit_search is not the one that was expected'; END IF;
    EXECUTE replace(body, '{old}', '{new}');
END $$;
DROP INDEX audit_event_words;
CREATE INDEX audit_event_words ON audit_event
    USING gin (audit_pairs(audit_words(operation, target_name, target_id, {columns}))
    WHERE source <> 'gateway';
"""


class Migration(migrations.Migration):
    dependencies = [("audit", "0006_retirements")]
    operations = [
        migrations.RunSQL(
            REPLACED.format(
                old=OLD,
                new="actor_name, reason || '''' '''' || ticket)",
                columns="actor_name, reason || ' ' || ticket)",
            ),
            REPLACED.format(old="actor_name, reason || '''' '''' || ticket)", new=OLD, columns=OLD),
        )
    ]
