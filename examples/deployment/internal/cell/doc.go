// Package cell runs programs on a copy of this machine's file system, for the tests of what
// is installed: whatever they install, change or delete is gone afterwards, and this machine
// is unchanged. It needs Linux and root.
package cell
