// Package tables reads and writes the database of a queue: connections, schema and
// migrations, and the rows of each table with their checksums.
//
// Packages sqlitequeue, memtable, salvage and watch use it. It holds only what is in
// the file. What an engine holds in memory is in package memtable and in the engine.
//
// A row whose checksum is wrong is policy.ErrDamaged. If a table or an index is damaged
// in its structure, the error is ErrStructure as well.
//
// It imports packages queue, policy, seal and disk, and modernc.org/sqlite.
package tables
