#!/bin/sh
# dpkg calls this with "remove", "purge" or "upgrade"; rpm with 0 after a removal and 1
# after an upgrade.
set -e

case "$1" in
	remove | purge | 0) ;;
	*) exit 0 ;;
esac
if [ -d /run/systemd/system ]; then
	systemctl daemon-reload
fi

# The queue may hold notes that no backend has, and only these keys can open it. So a
# purge deletes neither.
if [ "$1" = purge ] || [ "$1" = 0 ]; then
	cat <<-TEXT
		scribegate: Not deleted: /var/lib/scribegate, the queue, in which clinical notes may still
		scribegate: wait for delivery; /etc/scribegate, the key that opens it, and your secrets; the user scribegate.
		scribegate: To delete all of it for good: rm -r /var/lib/scribegate /etc/scribegate && userdel scribegate
	TEXT
fi
