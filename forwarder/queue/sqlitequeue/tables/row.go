package tables

import (
	"database/sql/driver"
	"fmt"
	"iter"
	"slices"
	"strings"

	"github.com/scribegate/scribegate/forwarder/queue/policy"
)

// The INTO clauses for INSERT and INSERT OR IGNORE, with the columns that EventRow,
// DeliveryRow, PayloadRow, UpstreamRow and Name.Row return.
const (
	IntoEvent    = ` INTO event (seq, id, provider, type, subject, received_at, state, reason, ended_at, size, key, checksum)`
	IntoDelivery = ` INTO delivery (state, due, attempts, used, history, checksum, seq, upstream)`
	IntoPayload  = ` INTO payload (` + PayloadColumns + `)`
	IntoUpstream = ` INTO upstream (id, name, checksum)`
	IntoName     = ` INTO name (hash, seq)`
)

// maxChunk is the maximum number of rows that one statement inserts or looks up.
const maxChunk = 16

// Chunks splits a list into chunks of 16, 8, 4, 2 and 1, so that five prepared
// statements are enough for any length.
func Chunks[T any](list []T) iter.Seq[[]T] {
	return func(yield func([]T) bool) {
		for n := maxChunk; len(list) > 0; {
			for n > len(list) {
				n /= 2
			}
			if !yield(list[:n]) {
				return
			}
			list = list[n:]
		}
	}
}

// Values returns a VALUES clause with n rows of parameters.
func Values(n, columns int) string {
	row := `, (` + strings.Repeat(`?, `, columns-1) + `?)`
	return ` VALUES ` + strings.Repeat(row, n)[2:]
}

// Insert inserts rows with as few statements as possible: one statement for 16 rows
// costs a third of 16 statements.
func (k *Conn) Insert(into string, rows ...[]driver.Value) error {
	for some := range Chunks(rows) {
		if err := k.Exec(into+Values(len(some), len(some[0])), slices.Concat(some...)...); err != nil {
			return err
		}
	}
	return nil
}

// A Scanner returns the columns of a row in order.
type Scanner struct {
	Row    []driver.Value
	failed bool // a column has another type
}

func next[T any](s *Scanner) (v T) {
	v, ok := s.Row[0].(T)
	s.Row, s.failed = s.Row[1:], s.failed || !ok
	return v
}

// Err returns an error if a column had another type than requested.
func (s *Scanner) Err() error {
	if s.failed {
		return fmt.Errorf("%w: a column of a row has the wrong type", policy.ErrDamaged)
	}
	return nil
}

// Int returns the next column, an integer.
func (s *Scanner) Int() int64 { return next[int64](s) }

// Text returns the next column, a text.
func (s *Scanner) Text() string { return next[string](s) }

// Blob returns the next column, a blob; nil if it is empty.
func (s *Scanner) Blob() []byte {
	if s.Row[0] == nil {
		s.Row = s.Row[1:]
		return nil
	}
	return next[[]byte](s)
}
