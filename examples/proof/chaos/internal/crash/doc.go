// Package crash has the scenarios in which the gateway is killed while it accepts, delivers, starts with
// a backlog, compacts its file or makes backups.
package crash
