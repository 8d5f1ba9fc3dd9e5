#!/bin/sh
# What `make run` does once everything is built: the gateway with the root
# Caddyfile, and a backend that takes its deliveries. Ctrl-C ends both. The
# variables that the Caddyfile documents hold here too.
set -eu

# Sets gateway, admin, backend and events, or ends here: where something listens
# already, and where the configuration is wrong.
config=$(bin/caddy adapt --config Caddyfile --adapter caddyfile)
plan=$(printf '%s' "$config" | bin/preflight)
eval "$plan"

secrets=${SCRIBEGATE_SECRETS:-examples/secrets}
SCRIBEGATE_SIGNING_SECRET=$(cat "$secrets/signing")
export SCRIBEGATE_SIGNING_SECRET
export XDG_DATA_HOME="${XDG_DATA_HOME:-$PWD/.run}"

deliveries="events go to $events"
started=
trap 'kill $started 2>/dev/null || true; wait' EXIT
trap 'exit 0' INT TERM
if [ -n "$backend" ]; then
	deliveries="a backend on http://$backend"
	bin/backend -listen "$backend" &
	started=$!
fi

cat <<TEXT

  The gateway listens on $gateway, $deliveries.
  In another terminal, play the providers:

    bin/caddy scribegate send soapnoteapi --to $gateway/soapnote --secret '{file.$secrets/soapnote}'
    bin/caddy scribegate send soniox --to $gateway/soniox --header 'Authorization: Bearer {file.$secrets/soniox}'

TEXT
if [ "$admin" != off ]; then
	cat <<TEXT
  and see what became of the events:

    bin/caddy scribegate events${admin:+ --address $admin}
    bin/caddy scribegate status${admin:+ --address $admin}

TEXT
fi
cat <<TEXT
  Ctrl-C ends ${backend:+both: the backend and }the gateway.

TEXT

bin/caddy run --config Caddyfile --adapter caddyfile &
gateway=$!
started="$started $gateway"
wait "$gateway"
