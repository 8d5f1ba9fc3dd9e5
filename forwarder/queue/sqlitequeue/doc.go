// Package sqlitequeue keeps a queue in one SQLite file.
//
// One goroutine, the writer, makes all changes on one connection: it commits what
// many callers want together, in WAL mode with one fdatasync a commit. Readers have
// connections of their own and never wait for it. What is in memory beside the
// database is leases, a read-ahead of what is due, and a cache of the events that
// were just stored; all of it can be lost.
//
// It imports packages queue, policy, event and seal, and its own: tables for the rows and
// the connections, memtable for what is not in its table yet, watch, wal and disk for the
// files, and salvage for a store that is damaged.
package sqlitequeue
