#!/bin/sh
# Runs once, when PostgreSQL's volume is made: Label Studio gets a database and a user of its own, and cannot read
# partly's registry.
set -eu
psql --no-psqlrc --set=ON_ERROR_STOP=1 --set=password="$LABEL_STUDIO_DB_PASSWORD" \
    --username "$POSTGRES_USER" --dbname "$POSTGRES_DB" <<'SQL'
CREATE ROLE label_studio LOGIN PASSWORD :'password';
CREATE DATABASE label_studio OWNER label_studio;
REVOKE CONNECT ON DATABASE label_studio FROM PUBLIC;
SQL
psql --no-psqlrc --set=ON_ERROR_STOP=1 --set=registry="$POSTGRES_DB" \
    --username "$POSTGRES_USER" --dbname "$POSTGRES_DB" <<'SQL'
REVOKE CONNECT ON DATABASE :"registry" FROM PUBLIC;
SQL
