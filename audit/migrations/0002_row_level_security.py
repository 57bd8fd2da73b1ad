"""The second wall around the register: row-level security on what is read, none on what is written.

PostgreSQL knows no COPY FROM into a table with row-level security. So all rows lie in `audit_event_rows`, partitioned by
month as before, and `audit_event` above it has that table as its only partition: processes may write into the one and
read the other. No row moves.
"""

from django.db import migrations

# A list of project names that the connection tells; nothing told is nothing seen. CASE, because its order is certain.
SEEN = "(SELECT current_setting('signalbox.events_of', true))"
BUILD = f"""
ALTER TABLE audit_event RENAME TO audit_event_rows;
CREATE TABLE audit_event (LIKE audit_event_rows INCLUDING ALL) PARTITION BY RANGE (at);
ALTER TABLE audit_event ATTACH PARTITION audit_event_rows FOR VALUES FROM (MINVALUE) TO (MAXVALUE);
ALTER TABLE audit_event ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE POLICY audit_event_read ON audit_event FOR SELECT
    USING (CASE {SEEN} WHEN '*' THEN true ELSE project = ANY (string_to_array({SEEN}, ',')) END);
CREATE POLICY audit_event_append ON audit_event FOR INSERT WITH CHECK (true);
"""
TEAR_DOWN = """
ALTER TABLE audit_event DETACH PARTITION audit_event_rows;
DROP TABLE audit_event;
ALTER TABLE audit_event_rows RENAME TO audit_event;
"""


class Migration(migrations.Migration):
    dependencies = [("audit", "0001_initial")]
    operations = [migrations.RunSQL(BUILD, TEAR_DOWN)]
