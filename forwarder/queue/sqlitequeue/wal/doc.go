// Package wal inspects and repairs a damaged write-ahead log of a SQLite database (the
// file <database>-wal).
//
// SQLite stops reading a WAL at the first frame with a wrong checksum, and silently
// ignores every later commit. But each frame has its own checksum, which continues the
// checksum of the frame before it. So the frames after a damaged one can still be
// verified.
//
// It does not depend on the content of the database. Of this module it imports package
// disk only.
package wal
