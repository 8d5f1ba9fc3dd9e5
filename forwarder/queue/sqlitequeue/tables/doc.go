// Package tables is the store as SQLite has it: its schema and migrations, connections to
// it, and the rows of its tables with their checksums.
//
// A row that is not as it was written is policy.ErrDamaged; where the structure that holds
// rows is damaged, the error is ErrStructure, too.
//
// It imports packages queue, policy, seal, event and disk, and modernc.org/sqlite. It
// knows no engine: what is in memory only is not its concern.
package tables
