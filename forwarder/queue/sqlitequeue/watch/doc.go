// Package watch detects that the open files of a queue were removed, replaced,
// truncated or overwritten by another program. The engine checks them regularly, so
// that an event is never acknowledged in a file that is no longer at its path.
//
// It imports packages disk, wal and tables.
package watch
