#!/bin/sh
# dpkg calls this with "configure <version before>"; rpm with 1 after an installation and
# 2 after an upgrade.
set -e

case "$1 $2" in
	"configure " | "1 ") upgrade= ;;
	configure* | 2*) upgrade=yes ;;
	*) exit 0 ;;
esac

if ! getent passwd scribegate >/dev/null; then
	useradd --system --user-group --no-create-home --home-dir /var/lib/scribegate --shell /usr/sbin/nologin scribegate
fi
install -d -m 0700 -o root -g root /etc/scribegate/credentials
install -d -m 0750 -o root -g scribegate /etc/scribegate/secrets
install -d -m 0750 -o scribegate -g scribegate /var/lib/scribegate

# The keys are made once. A new key beside an existing queue could not open it.
credentials=/etc/scribegate/credentials
if [ ! -e $credentials/encryption-key ] && [ ! -e /var/lib/scribegate/queue.db ]; then
	keys=$(HOME=${HOME:-/root} /usr/bin/scribegate-caddy scribegate keygen)
	umask 077
	printf '%s\n' "$keys" | sed -n 's/^encryption_key *//p' >$credentials/encryption-key
	[ -e $credentials/signing ] || printf '%s\n' "$keys" | sed -n 's/^signing_secret *//p' >$credentials/signing
	cat <<-TEXT
		scribegate: a new encryption key is in $credentials/encryption-key.
		scribegate: Copy it to another place than your backups: without it nobody can read the queue.
	TEXT
fi

if [ -d /run/systemd/system ]; then
	systemctl daemon-reload
	if [ -n "$upgrade" ]; then
		systemctl try-restart scribegate.service
	fi
fi
if [ -z "$upgrade" ]; then
	cat <<-TEXT
		scribegate: Before the first start, edit /etc/scribegate/Caddyfile and write the providers'
		scribegate: secrets into /etc/scribegate/secrets. Then: systemctl enable --now scribegate
	TEXT
fi
