package tables

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"net/url"
	"strconv"
	"sync"

	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"

	"github.com/scribegate/scribegate/forwarder/queue/policy"
)

// A Conn is one connection to the database, for one goroutine at a time. It does not
// use database/sql, since its pool could reopen the file by name at any time, and it is
// slower.
type Conn struct {
	c       driver.Conn
	stmts   map[string]*stmt
	closing context.Context //nolint:containedctx // its end interrupts queries; may be nil
}

// A stmt is a prepared statement with buffers for its arguments and columns.
type stmt struct {
	s    driver.Stmt
	args []driver.NamedValue
	row  []driver.Value
}

// setUp makes the library's process-wide settings once: fdatasync instead of fsync, and
// locks that survive the closing of another descriptor of the same file.
var setUp = sync.OnceValue(func() error {
	if _, err := sqlite.Fdatasync(true); err != nil && !errors.Is(err, sqlite.ErrFdatasyncUnavailable) {
		return fmt.Errorf("setting up SQLite: %w", err)
	}
	_, err := sqlite.OFDLocking(true)
	if err != nil && !errors.Is(err, sqlite.ErrOFDLockingUnavailable) && !errors.Is(err, sqlite.ErrOFDLockingTooLate) {
		return fmt.Errorf("setting up SQLite: %w", err)
	}
	return nil
})

// Open opens a connection and executes pragmas on it.
func Open(path string, query url.Values, pragmas ...string) (*Conn, error) {
	if err := setUp(); err != nil {
		return nil, err
	}
	u := url.URL{Scheme: "file", OmitHost: true, Path: path, RawQuery: query.Encode()}
	c, err := (&sqlite.Driver{}).Open(u.String())
	if err != nil {
		return nil, classify(err)
	}
	k := &Conn{c: c, stmts: make(map[string]*stmt)}
	for _, p := range pragmas {
		if err := k.Run(p); err != nil {
			return nil, errors.Join(fmt.Errorf("%s: %w", p, err), k.Close())
		}
	}
	return k, nil
}

// The settings of connections. The writer never waits for a lock, so that it can be
// closed. No connection makes checkpoints automatically.
var (
	createPragmas = []string{`PRAGMA page_size=` + strconv.Itoa(PageSize), `PRAGMA auto_vacuum=INCREMENTAL`}
	writerPragmas = []string{
		`PRAGMA wal_autocheckpoint=0`, `PRAGMA journal_mode=WAL`, `PRAGMA synchronous=FULL`, `PRAGMA secure_delete=ON`,
		`PRAGMA cache_size=-8192`, `PRAGMA temp_store=MEMORY`, `PRAGMA cell_size_check=ON`, `PRAGMA busy_timeout=0`,
	}
	readerPragmas = []string{
		`PRAGMA query_only=ON`, `PRAGMA cache_size=-2048`, `PRAGMA temp_store=MEMORY`, `PRAGMA cell_size_check=ON`, `PRAGMA busy_timeout=1000`,
	}
	copierPragmas = []string{`PRAGMA wal_autocheckpoint=0`, `PRAGMA cache_size=-2048`}

	existing = url.Values{"mode": {"rw"}}
)

// OpenWriter opens the connection that makes all changes.
func OpenWriter(path string) (*Conn, error) { return Open(path, existing, writerPragmas...) }

// OpenReader opens a connection for reading.
func OpenReader(path string) (*Conn, error) { return Open(path, existing, readerPragmas...) }

// OpenCopier opens a connection for copies and checkpoints.
func OpenCopier(path string) (*Conn, error) { return Open(path, existing, copierPragmas...) }

// prepare returns the prepared statement of a text. It prepares each text once.
func (k *Conn) prepare(text string) (*stmt, error) {
	if s := k.stmts[text]; s != nil {
		return s, nil
	}
	prepared, err := k.c.Prepare(text)
	if err != nil {
		return nil, classify(err)
	}
	s := &stmt{s: prepared}
	k.stmts[text] = s
	return s, nil
}

func (s *stmt) bind(args []driver.Value) []driver.NamedValue {
	s.args = s.args[:0]
	for i, v := range args {
		s.args = append(s.args, driver.NamedValue{Ordinal: i + 1, Value: v})
	}
	return s.args
}

// Exec executes a statement that returns no rows.
func (k *Conn) Exec(text string, args ...driver.Value) error {
	s, err := k.prepare(text)
	if err != nil {
		return err
	}
	_, err = s.s.(driver.StmtExecContext).ExecContext(context.Background(), s.bind(args))
	return classify(err)
}

// ErrStop makes Query stop without error when each returns it.
var ErrStop = errors.New("no more rows are wanted")

// Query executes a statement and calls each with every row, until each returns ErrStop.
// A row is valid until each returns; its blobs and strings are copies. The end of ctx
// interrupts the statement.
func (k *Conn) Query(ctx context.Context, text string, each func(row []driver.Value) error, args ...driver.Value) error {
	s, err := k.prepare(text)
	if err != nil {
		return err
	}
	if k.closing != nil && ctx.Done() != nil {
		var cancel context.CancelFunc
		ctx, cancel = context.WithCancel(ctx)
		defer cancel()
		defer context.AfterFunc(k.closing, cancel)()
	}
	rows, err := s.s.(driver.StmtQueryContext).QueryContext(ctx, s.bind(args))
	if err != nil {
		return classify(err)
	}
	if n := len(rows.Columns()); len(s.row) != n {
		s.row = make([]driver.Value, n)
	}
	for {
		err := rows.Next(s.row)
		if errors.Is(err, io.EOF) {
			return classify(rows.Close())
		}
		if err = classify(err); err == nil {
			err = each(s.row)
		}
		if errors.Is(err, ErrStop) {
			return classify(rows.Close())
		}
		if err != nil {
			_ = rows.Close() // returns the same error again
			return err
		}
	}
}

// Number returns the first column of the first row, or 0.
func (k *Conn) Number(text string, args ...driver.Value) (n int64, err error) {
	err = k.Query(context.Background(), text, func(row []driver.Value) error {
		n, _ = row[0].(int64)
		return ErrStop
	}, args...)
	return n, err
}

// Numbers returns the first column of all rows.
func (k *Conn) Numbers(ctx context.Context, text string, args ...driver.Value) (all []int64, err error) {
	err = k.Query(ctx, text, func(row []driver.Value) error {
		n, _ := row[0].(int64)
		all = append(all, n)
		return nil
	}, args...)
	return all, err
}

// Run executes statements that are not kept as prepared statements.
func (k *Conn) Run(text string) error {
	_, err := k.c.(driver.ExecerContext).ExecContext(context.Background(), text, nil)
	return classify(err)
}

// Close closes the connection and its statements.
func (k *Conn) Close() error {
	var errs []error
	for _, s := range k.stmts {
		errs = append(errs, s.s.Close())
	}
	return errors.Join(append(errs, k.c.Close())...)
}

// ErrStructure means that a b-tree, a table or an index is damaged, and not only a row.
// It wraps policy.ErrDamaged.
var ErrStructure = fmt.Errorf("%w in its structure", policy.ErrDamaged)

// ErrEventRow means that an event's row in table event is damaged. It wraps
// policy.ErrDamaged. Restore may be able to reconstruct the row.
var ErrEventRow = fmt.Errorf("%w in the row of an event", policy.ErrDamaged)

// classify wraps the errors of damaged storage with ErrStructure.
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
