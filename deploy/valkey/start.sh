#!/bin/sh
# Valkey with the password of redis://:PASSWORD@…, which stands neither in a file of the container nor in a command line.
#
# usage: start.sh          run it
#        start.sh ping     exit status 0 while it answers
set -eu
url=${REDIS_URL_FILE:-/run/secrets/redis_url}
password=$(sed -nE 's#^rediss?://[^:]*:([^@]+)@.*#\1#p' "$url")
if [ -z "$password" ]; then
    echo "signalbox: $url holds no redis://:PASSWORD@HOST: make it with deploy/make-secrets.sh" >&2
    exit 1
fi
if [ "${1:-}" = ping ]; then
    [ "$(REDISCLI_AUTH=$password VALKEYCLI_AUTH=$password valkey-cli -h 127.0.0.1 ping)" = PONG ]
    exit
fi
exec valkey-server - <<CONFIGURATION
bind * -::*
port ${VALKEY_PORT:-6379}
dir ${VALKEY_DIR:-/data}
appendonly yes
appendfsync everysec
maxmemory-policy noeviction
requirepass $password
CONFIGURATION
