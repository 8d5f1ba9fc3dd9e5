// Package salvage reads the file of a queue that no process has open, even if it is
// damaged, and rebuilds it.
//
// The engine calls Rebuild at the start, when it finds damage. The command
// `caddy scribegate export --path` calls OpenReader.
//
// SQLite reads an image of the store: the main file with the WAL applied, in which
// damaged pages can be replaced. If the trees of the tables are intact, the tables are
// read. Otherwise each page is read alone, as if it were the only page of its table. An
// event is then assembled from those of its rows whose checksums are right.
//
// It imports packages tables, disk, wal, queue, policy, seal and event, and
// modernc.org/sqlite/vfs. It does not import the engine.
package salvage
