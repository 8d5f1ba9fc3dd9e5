// Package disk is what a store in a file needs of the file system: the path with its
// links resolved, a lock for one process, a refusal of network disks, room that is kept
// for when the disk is full, and a watch over the files that are open.
//
// It imports package queue for its errors, and nothing else of this module.
package disk
