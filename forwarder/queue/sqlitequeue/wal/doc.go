// Package wal reads and repairs the write-ahead log of a SQLite database (the file
// <database>-wal) where bytes of it are damaged.
//
// SQLite stops reading a WAL at the first frame that does not verify, and silently
// ignores every commit behind it. But each frame has its own checksum, which continues
// the one in front of it, so that the frames behind a damaged one can be verified.
//
// It knows nothing of what is in the database. It imports package disk and nothing else
// of this module.
package wal
