#!/bin/sh
# A dead man's switch for the whole way: it sends a test event to the gateway's public
# address, and pings a service such as healthchecks.io only if the gateway has stored it. Run
# it every five minutes. The service reports when no ping has arrived for ten.
#
#	SCRIBEGATE_URL          the address that SOAPNoteAPI has, such as https://hooks.example.com/soapnote
#	SCRIBEGATE_SECRET_FILE  a file with SOAPNoteAPI's secret
#	PING_URL_FILE           a file with the address to ping
#	CADDY                   the gateway's program, if it is not caddy
#
# It runs on any machine that has the gateway's program and curl. It needs no access to the
# admin endpoint.
set -eu

answer=$("${CADDY:-caddy}" scribegate send soapnoteapi --event test --to "$SCRIBEGATE_URL" --secret "{file.$SCRIBEGATE_SECRET_FILE}" 2>&1) || {
	printf '%s\n' "$answer" >&2
	exit 1
}
ping=$(cat "$PING_URL_FILE")
printf 'url = "%s"\n' "$ping" | curl --config - --fail --silent --show-error --max-time 10 --retry 3 --output /dev/null
