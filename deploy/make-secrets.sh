#!/bin/sh
# Makes what docker-compose.yml mounts from deploy/secrets; what is there already stays.
#
# usage: deploy/make-secrets.sh [NAME-OF-THIS-HOST]     (by default localhost: for a first look)
#
# The directory is yours alone (0700). The files in it can be read by all, because Docker shows them to the containers
# with these very rights, and the users in there are other ones; from outside nobody gets past the directory.
set -eu
host=${1:-localhost}
cd "$(dirname "$0")"
command -v openssl >/dev/null || { echo "signalbox: install openssl, then try again." >&2; exit 1; }
umask 077
mkdir -p secrets
chmod 700 secrets
mkdir -p secrets/tls
chmod 755 secrets/tls

keep() { # file, then the command that makes its content
    file=secrets/$1
    shift
    if [ ! -s "$file" ]; then
        "$@" >"$file.new"
        chmod 444 "$file.new"
        mv "$file.new" "$file"
        echo "made deploy/$file"
    fi
}

password() { openssl rand -hex 32; }
key() { openssl rand -base64 32; }
# The tables' owner sees the rows of all projects; row-level security binds it as well.
owner() { echo "postgresql://signalbox_owner:$(password)@postgres:5432/signalbox?options=-c%20signalbox.keys_of%3D*%20-c%20signalbox.events_of%3D*"; }
processes() { echo "postgresql://signalbox:$(password)@postgres:5432/signalbox"; }
valkey() { echo "redis://:$(password)@valkey:6379/0"; }
certificate() { # signed by itself: replace it by one that your clients trust
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 365 -keyout - \
        -subj "/CN=$host" -addext "subjectAltName=DNS:$host" 2>/dev/null
}

keep postgres_password password
keep database_url processes
keep database_owner_url owner
keep redis_url valkey
keep secret_key key
keep master_key key
keep jwt_key key
keep seal_key key
keep tls/tls.pem certificate
