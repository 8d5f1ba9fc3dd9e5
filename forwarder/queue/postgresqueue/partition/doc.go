// Package partition creates and drops the partitions of tables that are partitioned by time.
//
// A partition is created ahead of time, and attached, which no reader or writer of the table
// waits for. A partition whose time is over is first detached: nothing can be written to it any
// more, and the table no longer shows its rows. The caller then deletes what depends on them, at
// leisure, and drops it. Only detaching keeps others from using the table, for a moment; it is
// not tried while somebody uses the table for long.
//
// It imports pgx, and nothing of this module.
package partition
