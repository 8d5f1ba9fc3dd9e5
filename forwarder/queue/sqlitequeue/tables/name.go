package tables

import (
	"cmp"
	"context"
	"crypto/sha256"
	"database/sql/driver"
	"encoding/binary"

	"github.com/scribegate/scribegate/forwarder/queue/policy"
)

// HashOfID returns the hash of an id for table name.
func HashOfID(id string) int64 { return hashOf('i', id) }

// HashOfSubject returns the hash of a subject for table name.
func HashOfSubject(subject string) int64 { return hashOf('s', subject) }

func hashOf(kind byte, name string) int64 {
	h := sha256.Sum256(append([]byte{kind}, name...))
	return int64(binary.BigEndian.Uint64(h[:]))
}

// A Name is a row of table name: the hash of an event's id or subject, with the event's
// seq.
type Name struct {
	Hash, Seq int64
}

// NamesOf returns the names of an event.
func NamesOf(r *Record) []Name {
	names := []Name{{HashOfID(r.ID), r.Seq}}
	if r.Subject != "" {
		names = append(names, Name{HashOfSubject(r.Subject), r.Seq})
	}
	return names
}

// CompareNames orders names like their table.
func CompareNames(a, b Name) int {
	return cmp.Or(cmp.Compare(a.Hash, b.Hash), cmp.Compare(a.Seq, b.Seq))
}

// Row returns the columns of IntoName.
func (n Name) Row() []driver.Value { return []driver.Value{n.Hash, n.Seq} }

// EachUnnamed calls each with the names of the events in table event whose names may be
// missing in table name.
func EachUnnamed(c *Conn, each func(...Name)) error {
	return c.Query(context.Background(), `SELECT seq, id, subject FROM event WHERE seq > (SELECT named FROM meta) ORDER BY seq`, func(row []driver.Value) error {
		s := Scanner{Row: row}
		each(NamesOf(&Record{Seq: s.Int(), Event: policy.Event{ID: s.Text(), Subject: s.Text()}})...)
		return nil
	})
}
