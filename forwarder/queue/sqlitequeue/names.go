package sqlitequeue

import (
	"context"
	"crypto/sha256"
	"database/sql/driver"
	"encoding/binary"

	"github.com/scribegate/scribegate/forwarder/queue/policy"
)

// nameHash returns the hash by which table name finds an id, or a subject.
func nameHash(kind byte, name string) int64 {
	h := sha256.Sum256(append([]byte{kind}, name...))
	return int64(binary.BigEndian.Uint64(h[:])) //nolint:gosec // any number does
}

// The kinds of names.
const (
	anID     = 'i'
	aSubject = 's'
)

// hashes returns the hashes under which an event is found.
func hashes(e *policy.Event) []int64 {
	h := []int64{nameHash(anID, e.ID)}
	if e.Subject != "" {
		h = append(h, nameHash(aSubject, e.Subject))
	}
	return h
}

func (t *tx) addNames(r *record) error {
	for _, h := range hashes(&r.Event) {
		if err := t.c.exec(`INSERT OR IGNORE INTO name (hash, seq) VALUES (?, ?)`, h, r.seq); err != nil {
			return err
		}
	}
	return nil
}

func (t *tx) deleteNames(r *record) error {
	for _, h := range hashes(&r.Event) {
		if err := t.c.exec(`DELETE FROM name WHERE hash = ? AND seq = ?`, h, r.seq); err != nil {
			return err
		}
	}
	return nil
}

// named returns the seqs of the events that may have the name, newest first.
func named(ctx context.Context, c *conn, hash int64) (seqs []int64, err error) {
	err = c.query(ctx, `SELECT seq FROM name WHERE hash = ? ORDER BY seq DESC`, func(row []driver.Value) error {
		seq, _ := row[0].(int64)
		seqs = append(seqs, seq)
		return nil
	}, hash)
	return seqs, err
}

// find returns the event with the id, or nil.
func find(ctx context.Context, c *conn, names *upstreams, id string) (*record, error) {
	seqs, err := named(ctx, c, nameHash(anID, id))
	if err != nil {
		return nil, err
	}
	for _, seq := range seqs {
		r, err := load(ctx, c, names, seq)
		if err != nil {
			return nil, err
		}
		if r != nil && r.ID == id {
			return r, nil
		}
	}
	return nil, nil
}
