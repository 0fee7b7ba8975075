#!/bin/sh
# Set-up of the compose file's PostgreSQL, run once on an empty volume: the catalog's and registry's databases, the source
# database with its owner, and the capturing role made by sql/sources/postgres/setup.sql.
set -eu

sql() { psql --no-psqlrc --quiet --set ON_ERROR_STOP=1 --username postgres "$@"; }

sql --set catalog="$CDC_CATALOG_PASSWORD" --set owner="$CDC_POSTGRES_OWNER_PASSWORD" <<'SQL'
CREATE ROLE catalog LOGIN PASSWORD :'catalog';
CREATE ROLE shop_owner LOGIN PASSWORD :'owner';
CREATE DATABASE catalog OWNER catalog;
CREATE DATABASE registry OWNER catalog;
CREATE DATABASE shop OWNER shop_owner;
SQL

sed -e 's|${role}|cdc|g' -e 's|${database}|shop|g' -e 's|${schema}|public|g' -e 's|${owner}|shop_owner|g' \
    -e "s|\${password}|$CDC_POSTGRES_PASSWORD|g" /setup/setup.sql | sql --dbname shop
