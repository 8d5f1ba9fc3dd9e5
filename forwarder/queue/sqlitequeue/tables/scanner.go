package tables

import (
	"database/sql/driver"
	"fmt"

	"github.com/scribegate/scribegate/forwarder/queue/policy"
)

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
