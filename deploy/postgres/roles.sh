#!/bin/bash
# Runs once, when PostgreSQL makes its data directory: the database, the role that owns it and its tables, and the role
# that Signalbox's processes run as, which owns nothing. Names and passwords are those of the two URLs.
set -euo pipefail
secrets=${SECRETS_DIR:-/run/secrets}

part() { # file, part of postgresql://NAME:PASSWORD@…
    sed -nE "s#^postgresql://([^:]+):([^@]+)@.*#\\$2#p" "$secrets/$1"
}

export OWNER OWNER_PASSWORD PROCESSES PROCESSES_PASSWORD
OWNER=$(part database_owner_url 1) OWNER_PASSWORD=$(part database_owner_url 2)
PROCESSES=$(part database_url 1) PROCESSES_PASSWORD=$(part database_url 2)
if [ -z "$OWNER_PASSWORD" ] || [ -z "$PROCESSES_PASSWORD" ]; then
    echo "signalbox: $secrets holds no postgresql://NAME:PASSWORD@HOST: make it with deploy/make-secrets.sh" >&2
    exit 1
fi

psql -v ON_ERROR_STOP=1 --no-psqlrc --quiet --username "${POSTGRES_USER:-postgres}" --dbname postgres <<'SQL'
\getenv owner OWNER
\getenv owner_password OWNER_PASSWORD
\getenv processes PROCESSES
\getenv processes_password PROCESSES_PASSWORD
SET log_statement = 'none';
SET log_min_error_statement = 'panic';
CREATE ROLE :"owner" LOGIN PASSWORD :'owner_password';
CREATE ROLE :"processes" LOGIN PASSWORD :'processes_password';
CREATE DATABASE signalbox OWNER :"owner";
REVOKE ALL ON DATABASE signalbox FROM PUBLIC;
GRANT CONNECT, TEMPORARY ON DATABASE signalbox TO :"processes";
\connect signalbox
ALTER SCHEMA public OWNER TO :"owner";
SQL
