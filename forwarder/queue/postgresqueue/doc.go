// Package postgresqueue is a queue engine that keeps the queue in a PostgreSQL database,
// which several nodes share.
//
// In each node one goroutine, the writer, makes all changes of events on one connection,
// and commits the changes of many callers together. A change locks the rows of its events
// in table event, so that nodes change an event one after the other. Claims are made on
// other connections: they change the column node of table delivery only, and take rows
// that nobody has locked.
//
// A delivery is leased to a node by its id in that column, for as long as the node renews
// its own row in table node. A node that does not is deleted by another, and its
// deliveries are free again. An outcome is recorded only if its node still has the lease,
// or if nobody has attempted the delivery since: so a node that comes back undoes nothing.
//
// Table event holds the events that are not over. When an event is, the same transaction moves
// its trace to table history. That table, and the one of payloads, are in partitions by time,
// which package partition drops. Traces whose retention has ended, up to the horizon, count as
// deleted before that.
//
// All times of the store are by the database's clock, whatever the nodes' clocks show.
//
// It imports packages queue, policy, event and seal, its own packages schema, tables, lease
// and partition, and pgx.
package postgresqueue
