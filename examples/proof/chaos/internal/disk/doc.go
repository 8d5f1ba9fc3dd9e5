// Package disk has the scenarios without space: a disk that is full, fails or is read-only, for which it
// mounts small file systems, and a queue that has reached its max_size.
package disk
