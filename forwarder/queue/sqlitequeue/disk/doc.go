// Package disk has the operations on files and directories that package sqlitequeue
// needs besides SQLite: resolving links in a path, a lock that admits one process,
// rejecting network file systems, space that is reserved for a full disk, replacing a
// file safely, and a watch over the open files.
//
// It imports package queue for its errors, and nothing else of this module.
package disk
