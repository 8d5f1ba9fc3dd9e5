package tables

import (
	"database/sql/driver"
	"iter"
	"slices"
	"strings"
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
