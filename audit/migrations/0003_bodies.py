"""Bodies of requests and answers, apart from the events: encrypted by the gateway, unreadable here.

As with the events, rows are written into `audit_body_rows`, which nobody may read, and read through `audit_body`, which
shows those of the project that the connection tells. Told by reading a body on purpose alone.
"""

from django.db import migrations

SEEN = "(SELECT current_setting('signalbox.bodies_of', true))"
BUILD = f"""
CREATE TABLE audit_body_rows (
    id uuid NOT NULL,
    at timestamptz NOT NULL,
    event_id uuid NOT NULL,
    project text NOT NULL,
    side text NOT NULL CHECK (side IN ('input', 'output')),
    data_domain text NOT NULL,
    mode text NOT NULL CHECK (mode IN ('masked', 'full')),
    key_id text NOT NULL,
    size bigint NOT NULL,
    truncated boolean NOT NULL,
    sealed bytea NOT NULL,
    PRIMARY KEY (at, id)
) PARTITION BY RANGE (at);
ALTER TABLE audit_body_rows ALTER COLUMN sealed SET STORAGE EXTERNAL;
CREATE INDEX audit_body_rows_id ON audit_body_rows (id);
CREATE INDEX audit_body_rows_event ON audit_body_rows (event_id);
CREATE TABLE audit_body_default PARTITION OF audit_body_rows DEFAULT;
CREATE TABLE audit_body (LIKE audit_body_rows INCLUDING ALL) PARTITION BY RANGE (at);
ALTER TABLE audit_body ATTACH PARTITION audit_body_rows FOR VALUES FROM (MINVALUE) TO (MAXVALUE);
ALTER TABLE audit_body ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE POLICY audit_body_read ON audit_body FOR SELECT
    USING (CASE {SEEN} WHEN '*' THEN true ELSE project = {SEEN} END);
CREATE FUNCTION audit_body_is_final() RETURNS trigger LANGUAGE plpgsql AS
    $$ BEGIN RAISE EXCEPTION 'a kept body is never changed: it goes with its month'; END $$;
CREATE TRIGGER audit_body_is_final BEFORE UPDATE OR DELETE ON audit_body_rows
    FOR EACH ROW EXECUTE FUNCTION audit_body_is_final();
ALTER TABLE audit_body_rows ENABLE ALWAYS TRIGGER audit_body_is_final;
"""
TEAR_DOWN = """
DROP TABLE audit_body;
DROP FUNCTION audit_body_is_final();
"""


class Migration(migrations.Migration):
    dependencies = [("audit", "0002_row_level_security")]
    operations = [migrations.RunSQL(BUILD, TEAR_DOWN)]
