"""The embedded database and its two roles: one owns the tables, the other is what the processes run as.

Neither is a superuser, so what holds in a company's own PostgreSQL (row-level security, a register that is only
appended to) holds on one machine too.
"""

import psycopg
from psycopg import sql

DATABASE = "signalbox"
OWNER = "signalbox_owner"
PROCESSES = "signalbox"
SEES_ALL = "-c signalbox.keys_of=* -c signalbox.events_of=*"  # row-level security binds the owner as well

# An instance from before the roles has everything in the superuser's name.
_TAKE_OVER = """
DO $$
DECLARE item record;
BEGIN
    FOR item IN SELECT c.oid::regclass AS name, c.relkind FROM pg_class c JOIN pg_roles r ON r.oid = c.relowner
        WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p', 'S', 'v') AND r.rolname <> '{owner}'
        ORDER BY c.relkind = 'S'
    LOOP
        IF item.relkind = 'S' AND EXISTS (SELECT FROM pg_depend WHERE objid = item.name::oid AND deptype IN ('a', 'i'))
        THEN CONTINUE; END IF;
        EXECUTE format('ALTER TABLE %s OWNER TO {owner}', item.name);
    END LOOP;
END $$
"""


def ensure_database(superuser_url: str, url: str) -> None:
    """Return once the processes' role can reach the database; make both where they are missing.

    The processes' role is made last: while it is missing, all of it is done again.
    """
    try:
        psycopg.connect(url, connect_timeout=2).close()
    except psycopg.OperationalError as exc:
        if "does not exist" not in str(exc):
            raise
        _make(superuser_url)


def _make(superuser_url: str) -> None:
    with psycopg.connect(superuser_url, dbname="postgres", autocommit=True) as server:
        known = {row[0] for row in server.execute("SELECT rolname FROM pg_roles").fetchall()}
        if OWNER not in known:
            # It may make databases: tests and benchmarks have their own.
            server.execute(sql.SQL("CREATE ROLE {} LOGIN CREATEDB").format(sql.Identifier(OWNER)))
        if not server.execute("SELECT FROM pg_database WHERE datname = %s", [DATABASE]).fetchall():
            server.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(DATABASE)))
        server.execute(sql.SQL("ALTER DATABASE {} OWNER TO {}").format(sql.Identifier(DATABASE), sql.Identifier(OWNER)))
    with psycopg.connect(superuser_url, dbname=DATABASE, autocommit=True) as database:
        database.execute(sql.SQL("ALTER SCHEMA public OWNER TO {}").format(sql.Identifier(OWNER)))
        database.execute(_TAKE_OVER.format(owner=OWNER))
        if PROCESSES not in known:
            database.execute(sql.SQL("CREATE ROLE {} LOGIN").format(sql.Identifier(PROCESSES)))
