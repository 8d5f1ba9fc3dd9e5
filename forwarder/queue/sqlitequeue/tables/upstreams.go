package tables

import (
	"context"
	"database/sql/driver"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"maps"
	"slices"
	"sync"

	"github.com/scribegate/scribegate/forwarder/queue/policy"
)

// Upstreams maps the names of upstreams to the numbers that rows contain. A number is
// never reused for another name.
type Upstreams struct {
	mu     sync.RWMutex
	byName map[string]int64
	byID   map[int64]string
}

// NewUpstreams returns empty Upstreams.
func NewUpstreams() *Upstreams {
	return &Upstreams{byName: make(map[string]int64), byID: make(map[int64]string)}
}

// ReadUpstreams returns the upstreams from their table or, if the table is damaged,
// from its index, which has the same data.
func ReadUpstreams(c *Conn) (*Upstreams, error) {
	u, err := readUpstreamsFrom(c, `SELECT id, name, checksum FROM upstream NOT INDEXED`)
	if errors.Is(err, policy.ErrDamaged) {
		u, err = readUpstreamsFrom(c, `SELECT id, name, 0 FROM upstream INDEXED BY sqlite_autoindex_upstream_1`)
	}
	return u, err
}

func readUpstreamsFrom(c *Conn, text string) (*Upstreams, error) {
	u := NewUpstreams()
	err := c.Query(context.Background(), text, func(row []driver.Value) error {
		s := Scanner{Row: row}
		id, name := s.Int(), s.Text()
		if sum := s.Int(); sum != 0 && sum != upstreamChecksum(id, name) {
			return fmt.Errorf("%w: the row of an upstream has a wrong checksum", policy.ErrDamaged)
		}
		u.Add(id, name)
		return s.Err()
	})
	return u, err
}

// UpstreamRow returns the columns of IntoUpstream.
func UpstreamRow(id int64, name string) []driver.Value {
	return []driver.Value{id, name, upstreamChecksum(id, name)}
}

func upstreamChecksum(id int64, name string) int64 {
	return 1 + int64(crc32.Checksum(binary.LittleEndian.AppendUint64([]byte(name), uint64(id)), castagnoli))
}

// Read replaces all upstreams by those of a database.
func (u *Upstreams) Read(c *Conn) error {
	n, err := ReadUpstreams(c)
	if err != nil {
		return err
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	u.byName, u.byID = n.byName, n.byID
	return nil
}

// Add adds an upstream that is in the table.
func (u *Upstreams) Add(id int64, name string) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.byName[name], u.byID[id] = id, name
}

// Expect adds the name of a number that is about to be committed.
func (u *Upstreams) Expect(id int64, name string) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.byID[id] = name
}

// ID returns the number of a name, and false if it has none yet.
func (u *Upstreams) ID(name string) (int64, bool) {
	u.mu.RLock()
	defer u.mu.RUnlock()
	id, ok := u.byName[name]
	return id, ok
}

// Name returns the name of a number, and false if there is none.
func (u *Upstreams) Name(id int64) (string, bool) {
	u.mu.RLock()
	defer u.mu.RUnlock()
	name, ok := u.byID[id]
	return name, ok
}

// IDs returns all numbers in order.
func (u *Upstreams) IDs() []int64 {
	u.mu.RLock()
	defer u.mu.RUnlock()
	return slices.Sorted(maps.Keys(u.byID))
}
