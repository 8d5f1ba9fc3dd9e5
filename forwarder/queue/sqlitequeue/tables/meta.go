package tables

import (
	"context"
	"database/sql/driver"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"net/url"
	"slices"

	"github.com/scribegate/scribegate/forwarder/queue"
	"github.com/scribegate/scribegate/forwarder/queue/policy"
)

// Meta is the data that the store keeps about itself.
type Meta struct {
	Identity Identity
	Path     string
	Clean    bool
	UsedAt   int64
	Named    int64
	Filed    int64
	Counts   policy.Counts     // nil if Counts or Filed is damaged
	Audit    []queue.AuditHead // ReadAudit reads it
}

// An Identity identifies a store, and counts the writes of its row in table meta.
type Identity struct {
	Store  string
	Writes int64
}

// Next returns the identity after one more write.
func (id Identity) Next() Identity { return Identity{id.Store, id.Writes + 1} }

func (id Identity) checksum() int64 {
	return int64(crc32.Checksum(binary.LittleEndian.AppendUint64([]byte(id.Store), uint64(id.Writes)), castagnoli))
}

// ReadIdentity returns the store's identity, or policy.ErrDamaged if its checksum is
// wrong.
func ReadIdentity(c *Conn) (id Identity, err error) {
	err = fmt.Errorf("%w: table meta is empty", policy.ErrDamaged)
	queried := c.Query(context.Background(), `SELECT store, writes, checksum FROM meta`, func(row []driver.Value) error {
		s := Scanner{Row: row}
		id = Identity{string(s.Blob()), s.Int()}
		if err = s.Err(); err == nil && s.Int() != id.checksum() {
			err = fmt.Errorf("%w: the store's identity has a wrong checksum", policy.ErrDamaged)
		}
		return nil
	})
	if queried != nil {
		err = queried
	}
	return id, err
}

// ReadMeta returns the row of meta. It replaces a damaged identity by a new one.
func ReadMeta(c *Conn) (*Meta, error) {
	id, err := ReadIdentity(c)
	if errors.Is(err, policy.ErrDamaged) && !errors.Is(err, ErrStructure) {
		id, err = NewIdentity(), nil
	}
	if err != nil {
		return nil, err
	}
	err = ErrStructure // if there is no row
	m := &Meta{Identity: id}
	queried := c.Query(context.Background(), `SELECT path, clean, used_at, named, filed, counts, counts_checksum FROM meta`, func(row []driver.Value) error {
		s := Scanner{Row: row}
		m.Path, m.Clean, m.UsedAt, m.Named, m.Filed = s.Text(), s.Int() != 0, s.Int(), s.Int(), s.Int()
		counts := []byte(s.Text())
		sum := s.Int()
		if err = s.Err(); err == nil && (sum != countsChecksum(m.Filed, counts) || json.Unmarshal(counts, &m.Counts) != nil) {
			m.Counts = nil
		}
		return nil
	})
	if queried != nil {
		err = queried
	}
	return m, err
}

func countsChecksum(filed int64, counts []byte) int64 {
	return int64(crc32.Checksum(binary.LittleEndian.AppendUint64(slices.Clip(counts), uint64(filed)), castagnoli))
}

// InsertMeta inserts the row of a new store.
func InsertMeta(c *Conn, m *Meta) error {
	counts, err := m.Counts.MarshalJSON()
	if err != nil {
		return err
	}
	audit, err := codeAudit(m.Audit)
	if err != nil {
		return err
	}
	return c.Exec(`INSERT INTO meta (id, store, writes, checksum, path, clean, used_at, named, filed, counts, counts_checksum, audit) VALUES (1, ?, ?, ?, ?, 1, ?, ?, ?, ?, ?, ?)`,
		[]byte(m.Identity.Store), m.Identity.Writes, m.Identity.checksum(), m.Path, m.UsedAt, m.Named, m.Filed, string(counts), countsChecksum(m.Filed, counts), audit)
}

// Recount derives Filed and Counts from the events.
func (m *Meta) Recount(c *Conn, names *Upstreams) (err error) {
	m.Counts = make(policy.Counts)
	if m.Filed, err = c.Number(`SELECT max(seq) FROM event`); err != nil {
		return err
	}
	return c.Query(context.Background(), `SELECT seq FROM event`, func(row []driver.Value) error {
		s := Scanner{Row: row}
		r, err := Load(context.Background(), c, names, s.Int())
		switch {
		case err == nil && r != nil:
			m.Counts.Add(&r.Event, 1)
		case errors.Is(err, ErrStructure) || !errors.Is(err, policy.ErrDamaged):
			return err
		}
		return nil
	})
}

// WriteCounts writes the filed seq, the counts, and the heads of the audit trail. The stored
// time never decreases.
func WriteCounts(c *Conn, id Identity, usedAt, filed int64, counts policy.Counts, heads []queue.AuditHead) error {
	coded, err := counts.MarshalJSON()
	if err != nil {
		return err
	}
	audit, err := codeAudit(heads)
	if err != nil {
		return err
	}
	return c.Exec(`UPDATE meta SET used_at = max(used_at, ?), writes = ?, checksum = ?, filed = ?, counts = ?, counts_checksum = ?, audit = ?`,
		usedAt, id.Writes, id.checksum(), filed, string(coded), countsChecksum(filed, coded), audit)
}

// WriteInUse records that the store is in use at the path.
func WriteInUse(c *Conn, id Identity, path string) error {
	return c.Exec(`UPDATE meta SET clean = 0, path = ?, store = ?, writes = ?, checksum = ?`, path, []byte(id.Store), id.Writes, id.checksum())
}

// MakeDistinct gives the copy of a store at the path a new identity.
func MakeDistinct(path string) error {
	c, err := Open(path, url.Values{"mode": {"rw"}}, `PRAGMA journal_mode=DELETE`)
	if err != nil {
		return err
	}
	id := NewIdentity()
	err = c.Exec(`UPDATE meta SET store = ?, writes = 0, checksum = ?, clean = 1`, []byte(id.Store), id.checksum())
	if err == nil {
		err = c.Run(`PRAGMA journal_mode=WAL`)
	}
	return errors.Join(err, c.Close())
}
