// Package schema creates and updates the tables of queue postgres.
//
// It imports pgx, and nothing of this module.
package schema
