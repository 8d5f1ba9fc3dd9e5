#!/bin/sh
# Creates the role and the database of the gateways. The image of PostgreSQL runs it at its
# first start, as the user postgres.
set -eu
psql --quiet --no-psqlrc -v ON_ERROR_STOP=1 -U postgres -d postgres \
	-v password="$(cat "${SCRIBEGATE_PASSWORD_FILE:-/run/secrets/database}")" <<'SQL'
CREATE ROLE scribegate LOGIN PASSWORD :'password';
CREATE DATABASE scribegate ENCODING 'UTF8' TEMPLATE template0;
REVOKE ALL ON DATABASE scribegate FROM PUBLIC;
GRANT CONNECT, CREATE ON DATABASE scribegate TO scribegate;
SQL
