// Package cluster injects faults into three gateways that share a queue in PostgreSQL, which is a primary
// and a synchronous standby: into the gateways, the databases, their disk and the network between them.
package cluster
