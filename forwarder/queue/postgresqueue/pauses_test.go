//go:build postgres

package postgresqueue

import (
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"github.com/scribegate/scribegate/forwarder/queue"
)

var ehr = queue.PauseKey{Upstream: "ehr", Backend: "b"}

// pause pauses ehr for an hour.
func pause(t testing.TB, q *Queue) {
	t.Helper()
	_, err := q.ChangePause(ehr, func(p queue.Pause) queue.Pause {
		p.Hold = time.Now().Add(time.Hour)
		return p
	})
	if err != nil {
		t.Fatal(err)
	}
}

// hold returns when the pause of ehr ends that a node hears of.
func hold(q *Queue) func() time.Time {
	var until atomic.Pointer[time.Time]
	q.NotifyPauses(func(all queue.Pauses) {
		at := all.Of(ehr).Hold
		until.Store(&at)
	})
	return func() time.Time { return *until.Load() }
}

// Without notifications, polling finds a pause, and the end of it, and what was purged and is
// in the memory of the node.
func TestPollingOfPausesAndPurges(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	a, b := c.node(nil), c.node(func(o *Options) { o.deaf = true })
	until := hold(b)
	pause(t, a)
	within(t, 10*time.Second, "the other node pauses", func() bool { return !until().IsZero() })
	if _, err := a.ChangePause(ehr, func(queue.Pause) queue.Pause { return queue.Pause{} }); err != nil {
		t.Fatal(err)
	}
	within(t, 10*time.Second, "the other node resumes", func() bool { return until().IsZero() })

	claims(t, b, "ehr") // from now on, its deliveries are leased in advance
	put(t, b, "first", "ehr")
	var ds []queue.Delivery
	within(t, 10*time.Second, "it is due", func() bool { _, ds = claims(t, b, "ehr"); return len(ds) == 1 })
	if _, err := b.Load(ds[0]); err != nil || b.recent.Get(seqOf(ds[0])) == nil {
		t.Fatalf("Load: %v; want the event from memory", err)
	}
	if n, err := a.Purge(t.Context(), queue.PurgeSelection{IDs: []string{"first"}, Force: true}); n != 1 || err != nil {
		t.Fatalf("Purge: %d, %v", n, err)
	}
	within(t, 10*time.Second, "the other node does not have it in memory", func() bool {
		_, err := b.Load(ds[0])
		return errors.Is(err, queue.ErrNotFound)
	})
}

// The pauses of nodes that have all ended are forgotten. One that starts beside another
// knows them before it claims anything.
func TestPausesOfNodesThatHaveEnded(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	a := c.node(nil)
	pause(t, a)
	b := c.node(nil)
	if hold(b)().IsZero() {
		t.Error("a node does not know the pause of a node that works")
	}
	mustClose(t, a)
	if hold(c.node(nil))().IsZero() {
		t.Error("the pause is forgotten while a node keeps it")
	}
	d := newCluster(t)
	only := d.node(nil)
	pause(t, only)
	mustClose(t, only)
	if until := hold(d.node(nil))(); !until.IsZero() {
		t.Errorf("the first node to start keeps a pause until %s", until)
	}
}

// A failover can lose the newest changes of pauses. The nodes hear of those that follow.
func TestPausesAfterAFailover(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	a, b := c.node(nil), c.node(nil)
	var known atomic.Int64 // version: as the dispatcher does, older ones are ignored
	var held atomic.Bool
	a.NotifyPauses(func(all queue.Pauses) {
		if all.Version >= known.Load() {
			known.Store(all.Version)
			held.Store(!all.Of(ehr).Hold.IsZero())
		}
	})
	for range 20 {
		p, err := a.ChangePause(ehr, func(p queue.Pause) queue.Pause {
			p.Hold = time.Now().Add(time.Hour)
			return p
		})
		if err != nil {
			t.Fatal(err)
		}
		known.Store(p.Version)
	}
	if err := server.Exec(`UPDATE "` + c.schema + `".pause_version SET version = 3`); err != nil {
		t.Fatal(err)
	}
	if _, err := b.ChangePause(ehr, func(queue.Pause) queue.Pause { return queue.Pause{} }); err != nil {
		t.Fatal(err)
	}
	within(t, 10*time.Second, "the node hears of the end of the pause", func() bool { return known.Load() > 20 && !held.Load() })
}
