//go:build postgres

package postgresqueue

import (
	"fmt"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/scribegate/scribegate/forwarder/seal"
)

// A key is replaced in the documented steps, on one node after the other: at every moment
// each node stores, and opens all that any of them has stored. At the end each reports that
// the older key is not needed any more, and it is not.
func TestKeyRotation(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	older, newer := c.key, seal.NewKey()
	reported := []*atomic.Bool{new(atomic.Bool), new(atomic.Bool), new(atomic.Bool)}
	nodes := make([]*Queue, 2)
	for i := range nodes {
		nodes[i] = c.node(func(o *Options) { o.OnResealed = func(int) { reported[i].Store(true) } })
	}
	var ids []string
	check := func(step string) {
		t.Helper()
		for i, q := range nodes {
			id := fmt.Sprint(step, " at ", i)
			put(t, q, id, "ehr")
			ids = append(ids, id)
		}
		for i, q := range nodes {
			for _, id := range ids {
				if _, err := q.Payload(t.Context(), id); err != nil {
					t.Errorf("%s: node %d cannot open %s: %v", step, i, id, err)
				}
			}
		}
	}
	set := func(step string, keys ...seal.Key) {
		t.Helper()
		for i, q := range nodes {
			if err := q.SetKeys(keys); err != nil {
				t.Fatal(err)
			}
			check(fmt.Sprintf("%s on %d", step, i))
		}
	}
	check("before")
	set("last", older, newer)
	for i, q := range nodes {
		if _, replaced, err := q.resealAll(); err != nil || replaced {
			t.Errorf("node %d: the last key is not needed: %t, %v", i, replaced, err)
		}
	}
	set("first", newer, older)
	c.key = newer
	nodes = append(nodes, c.node(func(o *Options) { // which reseals nothing
		o.Keys = []seal.Key{newer, older}
		o.OnResealed = func(int) { reported[2].Store(true) }
	}))
	for i, q := range nodes {
		within(t, 20*time.Second, fmt.Sprintf("node %d reports that the older key is not needed", i), func() bool {
			q.resealSoon() // which happens every minute
			return reported[i].Load()
		})
	}
	set("alone", newer)
	last := c.node(nil)
	var got []string
	within(t, 20*time.Second, "another node with the newer key alone has all events", func() bool {
		more, _ := claims(t, last, "ehr")
		got = append(got, more...)
		return len(got) >= len(ids)
	})
	slices.Sort(got)
	slices.Sort(ids)
	if !slices.Equal(got, ids) {
		t.Errorf("claimed %q, want %q", got, ids)
	}
}

// A node reports an event that it cannot open, also if it has met the event before it counts.
func TestOneForeignEvent(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	var foreign atomic.Int64
	q := c.node(func(o *Options) { o.OnForeign = foreign.Store })
	claims(t, q, "ehr") // from now on it leases in advance
	other := c.node(func(o *Options) { o.Keys = []seal.Key{seal.NewKey(), c.key} })
	put(t, other, "a", "ehr")
	within(t, 10*time.Second, "the node has met the event", func() bool {
		ids, _ := claims(t, q, "ehr")
		if len(ids) > 0 {
			t.Fatalf("claimed %q, which the node cannot open", ids)
		}
		return q.foreign.Load() != 0
	})
	if _, err := q.Stats(); err != nil || foreign.Load() != 1 {
		t.Errorf("%d events are reported, %v; want 1", foreign.Load(), err)
	}
}

// A transaction reseals large payloads one by one.
func TestResealedBytes(t *testing.T) {
	t.Parallel()
	q := newCluster(t).node(nil)
	for _, id := range []string{"first", "second", "third"} {
		put(t, q, id, "ehr")
	}
	for bytes, want := range map[int]int{1: 1, 1 << 20: 3} {
		rows, err := q.pool.Query(t.Context(), q.in(toReseal), q.keys(), 0, 0, resealStep, bytes)
		if err != nil {
			t.Fatal(err)
		}
		seqs, err := pgx.CollectRows(rows, pgx.RowTo[int64])
		if err != nil || len(seqs) != want {
			t.Errorf("of %d bytes a transaction reseals %d events, want %d: %v", bytes, len(seqs), want, err)
		}
	}
}
