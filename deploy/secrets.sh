#!/bin/sh
# Makes the secrets of deploy/compose.yaml in deploy/secrets. Those that exist are kept.
set -eu
umask 077
mkdir -p "$(dirname "$0")/secrets"
cd "$(dirname "$0")/secrets"

random() { od -An -N24 -tx1 /dev/urandom | tr -d ' \n'; }

for name in postgres_password signed_url_secret grafana_password; do
    [ -s "$name" ] || random > "$name"
done
[ -s database_url ] || echo "postgresql://daguerre:$(cat postgres_password)@postgres/daguerre" > database_url
if [ ! -s bucket.env ]; then
    key=$(random)
    printf '%s\n' AWS_ACCESS_KEY_ID=daguerre "AWS_SECRET_ACCESS_KEY=$key" \
        ROOT_ACCESS_KEY=daguerre "ROOT_SECRET_KEY=$key" > bucket.env
fi
# The containers' users read them; the directory is private.
chmod 644 postgres_password signed_url_secret grafana_password database_url
