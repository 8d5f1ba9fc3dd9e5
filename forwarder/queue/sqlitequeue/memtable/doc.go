// Package memtable holds in memory what is newest in a store and not in its tables yet:
// events that are in table payload only, and names that are not in table name.
//
// Only the writer changes it; readers look into it before they read the tables, to which
// what is here may go meanwhile.
//
// It imports package tables, for the rows, and executes no SQL.
package memtable
