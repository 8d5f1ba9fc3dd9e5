package sqlitequeue

import (
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/scribegate/scribegate/forwarder/queue"
	"github.com/scribegate/scribegate/forwarder/queue/queuetest"
	"github.com/scribegate/scribegate/forwarder/queue/sqlitequeue/memtable"
)

// A woken waits in the way a dispatcher does: for wake, or for the next retry.
type woken chan struct{}

func wokenBy(q *Queue, upstream string) woken {
	w := make(woken, 1)
	q.Notify(func(name string) {
		if name == upstream {
			select {
			case w <- struct{}{}:
			default:
			}
		}
	})
	return w
}

// wait reports whether a delivery may be due, or over is closed.
func (w woken) wait(next time.Time, over <-chan struct{}) bool {
	retry := time.Hour
	if !next.IsZero() {
		retry = time.Until(next)
	}
	select {
	case <-w:
	case <-over:
	case <-time.After(retry):
	case <-time.After(20 * time.Second):
		return false
	}
	return true
}

// A caller that waits only for wake claims every event, in the order of arrival, while
// bursts of more events than fit in memory are stored and filed.
func TestEveryEventIsClaimedInOrder(t *testing.T) {
	t.Parallel()
	q, _ := openNew(t)
	w := wokenBy(q, "ehr")
	const n = 12_000
	var wg sync.WaitGroup
	wg.Go(func() {
		for done := 0; done < n; {
			burst := min(n-done, 1+rand.IntN(3*maxReady))
			putMany(t, q, fmt.Sprint("burst", done, "-"), burst, "ehr")
			done += burst
			if rand.IntN(3) == 0 {
				time.Sleep(memtable.FileAfter + 20*time.Millisecond)
			}
		}
	})
	last := uint64(0)
	for claimed := 0; claimed < n; {
		c, err := q.Claim("ehr", time.Now(), queue.Want{First: 1 + rand.IntN(200)})
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range c.Deliveries {
			if d.Seq <= last {
				t.Fatalf("%d is claimed after %d", d.Seq, last)
			}
			last = d.Seq
			if rand.IntN(2) == 0 {
				q.Settle(outcomeOf(q, d, queue.Delivered))
			}
		}
		if claimed += len(c.Deliveries); len(c.Deliveries) == 0 && !w.wait(time.Time{}, nil) {
			t.Fatalf("only %d of %d events were claimed; %+v", claimed, n, claimable(q))
		}
	}
	wg.Wait()
	if more := take(t, q, "ehr", 10); len(more) > 0 {
		t.Errorf("%d deliveries are claimed twice", len(more))
	}
	wantCounts(t, q)
}

func claimable(q *Queue) string {
	l := q.leases.of("ehr")
	l.mu.Lock()
	defer l.mu.Unlock()
	return fmt.Sprintf("%d ready, from %d, complete %t", len(l.ready), l.from, l.complete)
}

// All events end, whether they are released, retried, replayed or purged, and none
// counts as damaged.
func TestEveryEventComesToItsEnd(t *testing.T) {
	t.Parallel()
	damage := make(chan error, 1000)
	q := mustOpen(t, Options{
		Path: filepath.Join(t.TempDir(), "queue.db"), Settings: queue.DefaultSettings(), OnDamage: func(err error) { damage <- err },
	})
	w := wokenBy(q, "ehr")
	const n = 4000
	var wg sync.WaitGroup
	stored := make(chan []string, 1000)
	wg.Go(func() {
		defer close(stored)
		for i := 0; i < n; i += 200 {
			stored <- putMany(t, q, fmt.Sprint(i, "-"), 200, "ehr", "lab")
		}
	})
	purged := make(map[string]bool)
	var all []string
	wg.Go(func() {
		for ids := range stored {
			all = append(all, ids...)
			for _, id := range ids[:20] {
				if got, err := q.Purge(t.Context(), queue.PurgeSelection{IDs: []string{id}, Force: true}); err != nil || got != 1 {
					t.Errorf("Purge(%s): %d, %v", id, got, err)
				}
				purged[id] = true
			}
			if _, err := q.Replay(t.Context(), queue.ReplaySelection{IDs: ids[100:102], Upstreams: []string{"ehr"}}); err != nil {
				t.Errorf("Replay: %v", err)
			}
		}
	})
	finished := make(chan struct{})
	go func() { wg.Wait(); close(finished) }()
	ended := attemptAll(t, q, w, finished)
	flush(t, q)
	for _, id := range all {
		r, err := q.Event(t.Context(), id)
		switch {
		case purged[id]:
			if err == nil {
				t.Errorf("%s exists although it was purged", id)
			}
		case err != nil || r.Deliveries[0].State != queue.Delivered || !ended[id]:
			t.Errorf("%s: %+v, %v", id, r, err)
		}
	}
	if len(damage) > 0 {
		t.Errorf("damage is reported: %v", <-damage)
	}
	wantCounts(t, q)
}

// attemptAll attempts all deliveries to ehr with random outcomes, until finished is
// closed and all have ended. It returns the ids of the delivered events.
func attemptAll(t *testing.T, q *Queue, w woken, finished <-chan struct{}) map[string]bool {
	t.Helper()
	ended := make(map[string]bool)
	for {
		c, err := q.Claim("ehr", time.Now(), queue.Want{First: 1 + rand.IntN(40), Retry: 1 + rand.IntN(40)})
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range c.Deliveries {
			switch rand.IntN(4) {
			case 0:
				q.Release(d)
			case 1:
				q.Settle(outcomeOf(q, d, queue.Pending))
			default:
				q.Settle(outcomeOf(q, d, queue.Delivered))
				ended[d.EventID] = true
			}
		}
		if len(c.Deliveries) > 0 {
			continue
		}
		over := finished
		select {
		case <-finished:
			flush(t, q)
			if s, err := q.Stats(); err == nil && s.Upstreams["ehr"].Pending == 0 {
				return ended
			}
			over = nil
		default:
		}
		if !w.wait(c.Next, over) {
			s, err := q.Stats()
			t.Fatalf("no more deliveries can be claimed: %+v, %v; %s", s, err, claimable(q))
		}
	}
}

// A purge that runs during claims causes no damage report.
func TestClaimDuringPurge(t *testing.T) {
	t.Parallel()
	damage := make(chan error, 1000)
	q := mustOpen(t, Options{
		Path: filepath.Join(t.TempDir(), "queue.db"), Settings: queue.DefaultSettings(), OnDamage: func(err error) { damage <- err },
	})
	for round := range 15 {
		putMany(t, q, fmt.Sprint(round, "-"), 600, "ehr")
		flush(t, q)
		q.leases.of("ehr").reread()
		var wg sync.WaitGroup
		wg.Go(func() {
			if _, err := q.Purge(t.Context(), queue.PurgeSelection{Upstream: "ehr"}); err != nil {
				t.Error(err)
			}
		})
		wg.Go(func() {
			for range 30 {
				for _, d := range take(t, q, "ehr", 20) {
					q.Release(d)
				}
			}
		})
		wg.Wait()
	}
	if len(damage) > 0 || q.countUnreadable() > 0 {
		t.Errorf("damage is reported: %v", <-damage)
	}
}

// A store that is closed while many stores wait answers all of them, and contains
// exactly those that it acknowledged.
func TestCloseWhileStoresWait(t *testing.T) {
	t.Parallel()
	for _, failing := range []bool{true, false} {
		t.Run(fmt.Sprint("failing ", failing), func(t *testing.T) {
			t.Parallel()
			q, d := openNew(t)
			d.Store(failing)
			errs := make(map[string]error)
			var mu sync.Mutex
			var wg sync.WaitGroup
			for i := range 2000 {
				wg.Go(func() {
					id := fmt.Sprint(i)
					_, err := q.Store(t.Context(), queue.Item{Event: queuetest.Event(id, time.Now()), Upstreams: []string{"ehr"}})
					mu.Lock()
					defer mu.Unlock()
					errs[id] = err
				})
			}
			time.Sleep(30 * time.Millisecond)
			if err := q.Close(); (err != nil) != failing {
				t.Errorf("Close: %v", err)
			}
			wg.Wait()
			q2 := mustOpen(t, Options{Path: q.path, Settings: queue.DefaultSettings()})
			for id, err := range errs {
				if _, found := q2.Event(t.Context(), id); (err == nil) != (found == nil) {
					t.Fatalf("Store(%s): %v; Event: %v", id, err, found)
				}
			}
			wantCounts(t, q2)
		})
	}
}
