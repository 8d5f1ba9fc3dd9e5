// Package files has the scenarios about the bytes of the queue's files: they are replaced while the
// gateway runs, damaged while it is stopped, or searched for payloads that must be erased.
package files
