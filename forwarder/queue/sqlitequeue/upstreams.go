package sqlitequeue

import (
	"context"
	"database/sql/driver"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"maps"
	"slices"
	"strings"
	"sync"

	"github.com/scribegate/scribegate/forwarder/queue"
	"github.com/scribegate/scribegate/forwarder/queue/policy"
)

// upstreams are the names of upstreams and the numbers that stand for them in rows.
// A number is never given to another name.
type upstreams struct {
	mu     sync.RWMutex
	byName map[string]int64
	byID   map[int64]string
}

func newUpstreams() *upstreams {
	return &upstreams{byName: make(map[string]int64), byID: make(map[int64]string)}
}

// readUpstreams reads them from their table, or, where that is damaged, from its index,
// which has all of it.
func readUpstreams(c *conn) (*upstreams, error) {
	u, err := readUpstreamsFrom(c, `SELECT id, name, checksum FROM upstream NOT INDEXED`)
	if errors.Is(err, policy.ErrDamaged) {
		u, err = readUpstreamsFrom(c, `SELECT id, name, 0 FROM upstream INDEXED BY sqlite_autoindex_upstream_1`)
	}
	return u, err
}

func readUpstreamsFrom(c *conn, text string) (*upstreams, error) {
	u := newUpstreams()
	err := c.query(context.Background(), text, func(row []driver.Value) error {
		s := scanner{row: row}
		id, name := s.int(), s.text()
		if sum := s.int(); sum != 0 && sum != upstreamChecksum(id, name) {
			return fmt.Errorf("%w: the row of an upstream is not as it was written", policy.ErrDamaged)
		}
		u.add(id, name)
		return s.err()
	})
	return u, err
}

const insertUpstream = `INSERT INTO upstream (id, name, checksum) VALUES (?, ?, ?)`

func upstreamRow(id int64, name string) []driver.Value {
	return []driver.Value{id, name, upstreamChecksum(id, name)}
}

func upstreamChecksum(id int64, name string) int64 {
	return 1 + int64(crc32.Checksum(binary.LittleEndian.AppendUint64([]byte(name), uint64(id)), castagnoli))
}

// read replaces all by those of a database.
func (u *upstreams) read(c *conn) error {
	n, err := readUpstreams(c)
	if err != nil {
		return err
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	u.byName, u.byID = n.byName, n.byID
	return nil
}

func (u *upstreams) add(id int64, name string) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.byName[name], u.byID[id] = id, name
}

// expect makes the name of a number known that is about to be committed.
func (u *upstreams) expect(id int64, name string) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.byID[id] = name
}

// id returns the number of a name, and false where it has none yet.
func (u *upstreams) id(name string) (int64, bool) {
	u.mu.RLock()
	defer u.mu.RUnlock()
	id, ok := u.byName[name]
	return id, ok
}

func (u *upstreams) name(id int64) (string, bool) {
	u.mu.RLock()
	defer u.mu.RUnlock()
	name, ok := u.byID[id]
	return name, ok
}

// ids returns all numbers, in their order.
func (u *upstreams) ids() []int64 {
	u.mu.RLock()
	defer u.mu.RUnlock()
	return slices.Sorted(maps.Keys(u.byID))
}

// upstreamsOf returns the names of an event's upstreams whose deliveries are in a state,
// or of all with "", for an error.
func upstreamsOf(r *record, state queue.State) string {
	var names []string
	for _, d := range r.Deliveries {
		if state == "" || d.State == state {
			names = append(names, d.Upstream)
		}
	}
	return strings.Join(names, ", ")
}
