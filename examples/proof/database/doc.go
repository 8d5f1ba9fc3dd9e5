// Command database runs `queue postgres` on a PostgreSQL server of its own, with fsync on, and
// reports what becomes of the database. It needs Debian's postgresql.
//
//	go run ./examples/proof/database                 # 1,000 events/s for an hour, with a history of 10 minutes
//	go run ./examples/proof/database -for 5m -rate 500 -history 1m -every 30s
//	go run ./examples/proof/database -waiting 1000000  # a backlog, with and without a long transaction of somebody else
//
// In the first form events are stored and delivered at a rate; one in a hundred is attempted
// twice, and one in two thousand is dead. At intervals a table is printed: the rows, the dead rows
// and the size of each table with its partitions and indexes, how often autovacuum was there, the
// partitions, the backlog, and the longest time that storing an event has taken. The exit status
// is 0 if no event was refused and the backlog is delivered at the end.
//
// In the second form the backlog is stored first. Then deliveries are claimed and settled in
// slices, alternately without and with a transaction that keeps the rows that were deleted since
// its beginning from being vacuumed. The ratio of their speeds is printed.
package main
