// Package systemd tests the unit of the service. The test, with the build tag examples,
// needs systemd's programs, and no running systemd.
package systemd
