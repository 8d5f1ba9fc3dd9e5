package sqlitequeue

import (
	"context"
	"database/sql/driver"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"slices"

	"github.com/scribegate/scribegate/forwarder/queue/policy"
)

// meta is what the store holds about itself.
type meta struct {
	identity identity
	path     string
	clean    bool
	usedAt   int64
	named    int64
	filed    int64
	counts   policy.Counts // nil where they, or filed, are damaged
}

// An identity says which store a file is of, and how often its row of meta was written.
type identity struct {
	store  string
	writes int64
}

func (id identity) next() identity { return identity{id.store, id.writes + 1} }

func (id identity) checksum() int64 {
	return int64(crc32.Checksum(binary.LittleEndian.AppendUint64([]byte(id.store), uint64(id.writes)), castagnoli))
}

// readIdentity returns policy.ErrDamaged where it is not as it was written.
func readIdentity(c *conn) (id identity, err error) {
	err = fmt.Errorf("%w: table meta is empty", policy.ErrDamaged)
	queried := c.query(context.Background(), `SELECT store, writes, checksum FROM meta`, func(row []driver.Value) error {
		s := scanner{row: row}
		id = identity{string(s.blob()), s.int()}
		if err = s.err(); err == nil && s.int() != id.checksum() {
			err = fmt.Errorf("%w: the store's identity is not as it was written", policy.ErrDamaged)
		}
		return nil
	})
	if queried != nil {
		err = queried
	}
	return id, err
}

func readMeta(c *conn) (*meta, error) {
	id, err := readIdentity(c)
	if errors.Is(err, policy.ErrDamaged) && !errors.Is(err, errStructure) {
		id, err = identity{store: newIdentity()}, nil
	}
	if err != nil {
		return nil, err
	}
	err = errStructure // where there is no row
	m := &meta{identity: id}
	queried := c.query(context.Background(), `SELECT path, clean, used_at, named, filed, counts, counts_checksum FROM meta`, func(row []driver.Value) error {
		s := scanner{row: row}
		m.path, m.clean, m.usedAt, m.named, m.filed = s.text(), s.int() != 0, s.int(), s.int(), s.int()
		counts := []byte(s.text())
		sum := s.int()
		if err = s.err(); err == nil && (sum != countsChecksum(m.filed, counts) || json.Unmarshal(counts, &m.counts) != nil) {
			m.counts = nil
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

// insertMeta writes the row of a new store.
func insertMeta(c *conn, m *meta) error {
	counts, err := m.counts.MarshalJSON()
	if err != nil {
		return err
	}
	return c.exec(`INSERT INTO meta (id, store, writes, checksum, path, clean, used_at, named, filed, counts, counts_checksum) VALUES (1, ?, ?, ?, ?, 1, ?, ?, ?, ?, ?)`,
		[]byte(m.identity.store), m.identity.writes, m.identity.checksum(), m.path, m.usedAt, m.named, m.filed, string(counts), countsChecksum(m.filed, counts))
}

// recount finds what is filed, and its counts, from the events.
func (m *meta) recount(c *conn, names *upstreams) (err error) {
	m.counts = make(policy.Counts)
	if m.filed, err = c.number(`SELECT max(seq) FROM event`); err != nil {
		return err
	}
	return c.query(context.Background(), `SELECT seq FROM event`, func(row []driver.Value) error {
		s := scanner{row: row}
		r, err := load(context.Background(), c, names, s.int())
		switch {
		case err == nil && r != nil:
			m.counts.Add(&r.Event, 1)
		case errors.Is(err, errStructure) || !errors.Is(err, policy.ErrDamaged):
			return err
		}
		return nil
	})
}
