// Package sqlitequeue is a queue engine that keeps the queue in one SQLite file.
//
// One goroutine, the writer, makes all changes on one connection. It commits the changes
// of many callers together, in WAL mode, with one fdatasync for each commit. Readers
// have their own connections and never wait for the writer. Besides the database, the
// queue keeps in memory: the leases, the deliveries that are due next, the events that
// were just stored, and the outcomes of unfiled events. All of it can be lost in a
// crash: a lost outcome costs a duplicate.
//
// An event is unfiled from its commit until its rows are in all tables: the commit
// writes its row in table payload only, and the writer files many events together a
// moment later. After a crash, the state of unfiled events is read from table payload.
//
// It imports packages queue, policy, event and seal, and its own packages: tables for
// the rows and the connections, memtable for the unfiled events, watch, wal and disk for
// the files, and salvage for a damaged store.
package sqlitequeue
