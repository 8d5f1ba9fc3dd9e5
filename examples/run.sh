#!/bin/sh
# What `make run` does once everything is built: the gateway with the root
# Caddyfile, and a backend that takes its deliveries. Ctrl-C ends both.
set -eu

secrets=${SCRIBEGATE_SECRETS:-examples/secrets}
SCRIBEGATE_SIGNING_SECRET=$(cat "$secrets/signing")
export SCRIBEGATE_SIGNING_SECRET
export XDG_DATA_HOME="${XDG_DATA_HOME:-$PWD/.run}"

bin/backend -listen 127.0.0.1:9000 &
backend=$!
trap 'kill "$backend" 2>/dev/null || true' EXIT
trap 'exit 0' INT TERM

cat <<TEXT

  The gateway listens on http://127.0.0.1:8080, a backend on http://127.0.0.1:9000.
  In another terminal, play the providers:

    bin/caddy scribegate send soapnoteapi --secret '{file.$secrets/soapnote}'
    bin/caddy scribegate send soniox --header 'Authorization: Bearer {file.$secrets/soniox}'

  and see what became of the events:

    bin/caddy scribegate events
    bin/caddy scribegate status

  Ctrl-C ends both.

TEXT

bin/caddy run --config Caddyfile --adapter caddyfile
