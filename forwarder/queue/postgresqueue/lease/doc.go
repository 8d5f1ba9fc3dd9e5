// Package lease holds in memory what a node has leased in the database.
//
// It imports package queue.
package lease
