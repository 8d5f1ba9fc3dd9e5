package tables

import (
	"database/sql/driver"
	"fmt"
	"iter"
	"slices"
	"strings"

	"github.com/scribegate/scribegate/forwarder/queue/policy"
)

// What to insert, behind INSERT or INSERT OR IGNORE: the columns that EventRow, DeliveryRow,
// PayloadRow, UpstreamRow and Name.Row return.
const (
	IntoEvent    = ` INTO event (seq, id, provider, type, subject, received_at, state, reason, ended_at, size, key, checksum)`
	IntoDelivery = ` INTO delivery (state, due, attempts, used, history, checksum, seq, upstream)`
	IntoPayload  = ` INTO payload (` + PayloadColumns + `)`
	IntoUpstream = ` INTO upstream (id, name, checksum)`
	IntoName     = ` INTO name (hash, seq)`
)

// manyRows is how many rows one statement inserts, or looks up, at most.
const manyRows = 16

// Portions parts a list so that statements for 16, 8, 4, 2 and 1 of them do for all.
func Portions[T any](list []T) iter.Seq[[]T] {
	return func(yield func([]T) bool) {
		for n := manyRows; len(list) > 0; {
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

// Values returns n rows of parameters behind VALUES.
func Values(n, columns int) string {
	row := `, (` + strings.Repeat(`?, `, columns-1) + `?)`
	return ` VALUES ` + strings.Repeat(row, n)[2:]
}

// Insert inserts rows with as few statements as that takes: 16 rows in one cost a third
// of what they cost in 16.
func (k *Conn) Insert(into string, rows ...[]driver.Value) error {
	for some := range Portions(rows) {
		if err := k.Exec(into+Values(len(some), len(some[0])), slices.Concat(some...)...); err != nil {
			return err
		}
	}
	return nil
}

// A Scanner returns the columns of a row in their order.
type Scanner struct {
	Row    []driver.Value
	failed bool // a column has another type
}

func next[T any](s *Scanner) (v T) {
	v, ok := s.Row[0].(T)
	s.Row, s.failed = s.Row[1:], s.failed || !ok
	return v
}

// Err returns an error where a column has another type than it was read as.
func (s *Scanner) Err() error {
	if s.failed {
		return fmt.Errorf("%w: a column of a row is of another type", policy.ErrDamaged)
	}
	return nil
}

// Int returns the next column, a number.
func (s *Scanner) Int() int64 { return next[int64](s) }

// Text returns the next column, a text.
func (s *Scanner) Text() string { return next[string](s) }

// Blob returns the next column, a blob; nil where it is empty.
func (s *Scanner) Blob() []byte {
	if s.Row[0] == nil {
		s.Row = s.Row[1:]
		return nil
	}
	return next[[]byte](s)
}
