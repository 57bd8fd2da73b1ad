"""The second wall around API keys: PostgreSQL shows those of the projects that the connection tells, see `access.scope`."""

from django.db import migrations

# Nothing told is nothing seen. CASE, because its order is certain: '*' is no list of ids.
SEEN = "(SELECT current_setting('signalbox.keys_of', true))"
MAY = f"CASE {SEEN} WHEN '*' THEN true ELSE project_id = ANY (string_to_array({SEEN}, ',')::uuid[]) END"
BUILD = f"""
ALTER TABLE controlplane_apikey ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE POLICY api_key_of_project ON controlplane_apikey USING ({MAY}) WITH CHECK ({MAY});
"""
TEAR_DOWN = """
DROP POLICY api_key_of_project ON controlplane_apikey;
ALTER TABLE controlplane_apikey NO FORCE ROW LEVEL SECURITY, DISABLE ROW LEVEL SECURITY;
"""


class Migration(migrations.Migration):
    dependencies = [("controlplane", "0011_identity")]
    operations = [migrations.RunSQL(BUILD, TEAR_DOWN)]
