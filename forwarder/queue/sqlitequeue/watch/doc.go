// Package watch finds out when the open files of a store are not those that its path leads
// to, or not as this process left them.
//
// It imports packages disk, wal and tables.
package watch
