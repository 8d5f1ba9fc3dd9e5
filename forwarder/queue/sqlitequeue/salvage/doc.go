// Package salvage reads a store that no process has open, also where it is damaged, and
// makes a new file of it.
//
// SQLite reads an image: the main file with the WAL over it, in which pages can be
// replaced. Where the trees of the tables are whole, it reads the tables. Otherwise it
// reads page by page, each as if its table had no other. What is left of an event is
// put together from the rows that are as they were written.
//
// It imports packages tables, disk, wal, queue, policy, seal and event, and
// modernc.org/sqlite/vfs. It knows no engine.
package salvage
