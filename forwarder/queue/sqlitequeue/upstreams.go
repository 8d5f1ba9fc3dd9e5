package sqlitequeue

import (
	"context"
	"database/sql/driver"
	"maps"
	"slices"
	"strings"
	"sync"

	"github.com/scribegate/scribegate/forwarder/queue"
)

// upstreams are the names of upstreams and the numbers that stand for them in rows.
// A number is never given to another name.
type upstreams struct {
	mu     sync.RWMutex
	byName map[string]int64
	byID   map[int64]string
}

func readUpstreams(c *conn) (*upstreams, error) {
	u := &upstreams{byName: make(map[string]int64), byID: make(map[int64]string)}
	err := c.query(context.Background(), `SELECT id, name FROM upstream`, func(row []driver.Value) error {
		s := scanner{row: row}
		id, name := s.int(), s.text()
		u.add(id, name)
		return nil
	})
	return u, err
}

func (u *upstreams) add(id int64, name string) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.byName[name], u.byID[id] = id, name
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
