package tables

import (
	"errors"
	"fmt"

	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"

	"github.com/scribegate/scribegate/forwarder/queue/policy"
)

// ErrStructure says that not a row is damaged, but what holds rows. It is a
// policy.ErrDamaged.
var ErrStructure = fmt.Errorf("%w in its structure", policy.ErrDamaged)

// classify marks the errors of damaged storage with ErrStructure.
func classify(err error) error {
	if e, ok := errors.AsType[*sqlite.Error](err); ok {
		switch e.Code() & 0xff {
		case sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_FORMAT, sqlite3.SQLITE_SCHEMA, sqlite3.SQLITE_CONSTRAINT, sqlite3.SQLITE_MISMATCH, sqlite3.SQLITE_TOOBIG:
			return fmt.Errorf("%w: %w", ErrStructure, err)
		case sqlite3.SQLITE_IOERR:
			if e.Code() == sqlite3.SQLITE_IOERR_SHORT_READ || e.Code() == sqlite3.SQLITE_IOERR_CORRUPTFS || e.Code() == sqlite3.SQLITE_IOERR_DATA {
				return fmt.Errorf("%w: %w", ErrStructure, err)
			}
		}
	}
	return err
}
