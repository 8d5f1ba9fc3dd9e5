#!/bin/sh
# dpkg calls this with "remove" or "upgrade <version>"; rpm with 0 before a removal and 1
# before an upgrade. An upgrade restarts the service after the new files are there, so
# that it is away for a moment only.
set -e

case "$1" in
	remove | 0) ;;
	*) exit 0 ;;
esac
if [ -d /run/systemd/system ]; then
	systemctl disable --now scribegate.socket scribegate.service
fi
