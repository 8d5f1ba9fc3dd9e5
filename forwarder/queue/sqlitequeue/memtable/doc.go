// Package memtable holds the newest events of a store in memory until they are in all
// of its tables. The commit that a caller waits for writes an event to table payload
// only; its rows in the other tables follow a moment later, many at once. Until then,
// Unfiled has the events, and Names has the names that are not in table name. Names
// returns a Due, the names that are to be written to the table now.
//
// Only the engine's writer changes them. Readers look here first and then into the
// tables, since an event may move from here to the tables between the two.
//
// It imports package tables, for the rows, and executes no SQL.
package memtable
