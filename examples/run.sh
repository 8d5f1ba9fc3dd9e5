#!/bin/sh
# Runs the gateway with the root Caddyfile, and a backend that receives its
# deliveries. `make run` builds both first. Ctrl-C ends both. The variables in the
# comment of the Caddyfile work here too.
set -eu

# Sets gateway, console, admin, backend and events. Exits if another program already
# listens on an address, or if the configuration is invalid.
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
TEXT
if [ -n "$console" ]; then
	cat <<TEXT
  Open the console in a browser on this machine: $console
TEXT
fi
cat <<TEXT
  In another terminal, play the providers:

    bin/caddy scribegate send soapnoteapi --to $gateway/soapnote --secret '{file.$secrets/soapnote}'
    bin/caddy scribegate send soniox --to $gateway/soniox --header 'Authorization: Bearer {file.$secrets/soniox}'

TEXT
if [ "$admin" != off ]; then
	cat <<TEXT
  and list the events and their state:

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
