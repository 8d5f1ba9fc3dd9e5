package sqlitequeue

import (
	"bytes"
	"context"
	"database/sql/driver"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/scribegate/scribegate/forwarder/queue"
	"github.com/scribegate/scribegate/forwarder/queue/queuetest"
	"github.com/scribegate/scribegate/forwarder/queue/queuetest/trials"
	"github.com/scribegate/scribegate/forwarder/queue/sqlitequeue/tables"
	"github.com/scribegate/scribegate/forwarder/seal"
)

// pieces returns pieces of the sealed payload of each event. A few of them span two
// pages.
func pieces(t *testing.T, q *Queue) (all [][]byte) {
	t.Helper()
	err := q.readers.With(t.Context(), func(c *tables.Conn) error {
		return c.Query(t.Context(), `SELECT sealed FROM payload`, func(row []driver.Value) error {
			s := tables.Scanner{Row: row}
			b := s.Blob()
			for at := 100; at+32 <= len(b); at += max(1000, len(b)/10) {
				all = append(all, b[at:at+32])
			}
			return nil
		})
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// found returns the pieces that are in any file of the store.
func found(t *testing.T, path string, pieces [][]byte) (some [][]byte) {
	t.Helper()
	names, err := filepath.Glob(path + "*")
	if err != nil {
		t.Fatal(err)
	}
	var all []byte
	for _, name := range names {
		b, err := os.ReadFile(name)
		if err != nil && !os.IsNotExist(err) {
			t.Fatal(err)
		}
		all = append(all, b...)
	}
	for _, p := range pieces {
		if bytes.Contains(all, p) {
			some = append(some, p)
		}
	}
	return some
}

func TestDeletedPayloadsAreInNoFile(t *testing.T) {
	t.Parallel()
	newKey := seal.Key(bytes.Repeat([]byte{7}, 32))
	for _, c := range []struct {
		name   string
		size   int
		number int
		load   bool
		delete func(t *testing.T, w *tampered, clock *queuetest.Clock)
	}{
		{"delivered", 3000, 200, false, deliverAll},
		{"delivered under load", 3000, 200, true, deliverAll},
		{"large, delivered", 100_000, 20, false, deliverAll},
		{"large, delivered under load", 100_000, 20, true, deliverAll},
		{"small, delivered", 300, 500, false, deliverAll},
		{"purged", 3000, 200, false, func(t *testing.T, w *tampered, _ *queuetest.Clock) {
			if _, err := w.Purge(t.Context(), queue.PurgeSelection{Upstream: "ehr"}); err != nil {
				t.Fatal(err)
			}
		}},
		{"after their retention", 3000, 200, false, func(t *testing.T, w *tampered, clock *queuetest.Clock) {
			w.settleAll(queue.Dead)
			clock.Advance(queue.DefaultSettings().DeadRetention + time.Minute)
			sweep(t, w.Queue)
		}},
		{"delivered during a read", 3000, 200, false, func(t *testing.T, w *tampered, _ *queuetest.Clock) {
			err := w.readers.With(t.Context(), func(c *tables.Conn) error {
				if err := c.Run(`BEGIN; SELECT count(*) FROM payload`); err != nil {
					return err
				}
				w.settleAll(queue.Delivered)
				w.onWriter(func() { w.checkpoint("TRUNCATE") })
				return c.Run(`COMMIT`)
			})
			if err != nil {
				t.Fatal(err)
			}
		}},
		{"delivered before a crash", 3000, 200, false, func(t *testing.T, w *tampered, _ *queuetest.Clock) {
			w.settleAll(queue.Delivered)
			dir := t.TempDir()
			copyStore(t, w.path, filepath.Join(dir, "queue.db"))
			mustClose(t, w.Queue)
			copyStore(t, filepath.Join(dir, "queue.db"), w.path)
			w.open(w.path)
		}},
		{"completed", 3000, 200, false, completeAll},
		{"completed under load", 3000, 200, true, completeAll},
		{"resealed", 3000, 200, false, func(t *testing.T, w *tampered, _ *queuetest.Clock) {
			if err := w.SetKeys([]seal.Key{newKey}); err != nil {
				t.Fatal(err)
			}
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			clock := queuetest.NewClock()
			w := &tampered{t: t}
			path := filepath.Join(t.TempDir(), "queue.db")
			w.Queue = mustOpen(t, Options{Path: path, Settings: queue.DefaultSettings(), Now: clock.Now, Elapsed: clock.Elapsed})
			completes := strings.HasPrefix(c.name, "completed")
			for i := range c.number {
				it := queue.Item{Event: newEvent(fmt.Sprint("e", i), c.size), Upstreams: []string{"ehr"}}
				if completes || i%2 == 0 {
					it.Upstreams = append(it.Upstreams, completion)
				}
				putItem(t, w.Queue, it)
			}
			if !completes {
				completeAll(t, w, clock)
			}
			all := pieces(t, w.Queue)
			// Absence proves nothing unless the pieces are found before.
			some := found(t, path, all)
			if len(some) < len(all)*9/10 || len(some) < c.number*9/10 {
				t.Fatalf("%d of %d pieces of the payloads are found", len(some), len(all))
			}
			var stop atomic.Bool
			ended := make(chan struct{})
			go func() {
				defer close(ended)
				for i := 0; c.load && !stop.Load(); i++ {
					_, err := w.Store(context.Background(), queue.Item{Event: newEvent(fmt.Sprint("load", i), 3000), Upstreams: []string{"other"}})
					if err != nil {
						t.Error(err)
						return
					}
				}
			}()
			c.delete(t, w, clock)
			began := time.Now()
			eventually(t, "the payloads are in no file", func() bool { return len(found(t, path, some)) == 0 })
			limit := 10 * time.Second * time.Duration(8/trials.Of(8)) // the race detector makes all of it slower
			if took := time.Since(began); took > limit {
				t.Errorf("the payloads were in the files for %v", took)
			}
			stop.Store(true)
			<-ended
		})
	}
}

// Free space returns to the file system by itself, in slices.
func TestFreeSpaceGoesBack(t *testing.T) { // not parallel: a slice is the smaller, the longer the slice before took
	w := &tampered{t: t}
	w.open(filepath.Join(t.TempDir(), "queue.db"))
	for i := range 1000 {
		if err := w.store(t.Context(), fmt.Sprint("e", i), 10_000); err != nil {
			t.Fatal(err)
		}
	}
	w.onWriter(func() { w.checkpoint("TRUNCATE") })
	before, err := w.size()
	if err != nil || before < 1000*10_000 {
		t.Fatalf("%d bytes, %v", before, err)
	}
	w.settleAll(queue.Delivered)
	eventually(t, "the file is smaller", func() bool {
		after, err := w.size()
		return err == nil && after < enoughFree*tables.PageSize+4<<20
	})
}

// completeAll replaces all payloads.
func completeAll(t *testing.T, w *tampered, _ *queuetest.Clock) {
	t.Helper()
	for _, d := range take(t, w.Queue, completion, 1000) {
		w.Settle(completedBy(t, w.Queue, d, 5000))
	}
	flush(t, w.Queue)
}

func deliverAll(_ *testing.T, w *tampered, _ *queuetest.Clock) { w.settleAll(queue.Delivered) }

// settleAll ends all deliveries.
func (w *tampered) settleAll(state queue.State) {
	w.t.Helper()
	for {
		claimed, err := w.Claim("ehr", time.Now(), queue.Want{First: 50})
		if err != nil {
			w.t.Fatal(err)
		}
		if len(claimed.Deliveries) == 0 {
			break
		}
		for _, d := range claimed.Deliveries {
			w.Settle(queue.Outcome{Delivery: d, At: time.Now(), Result: queue.Success, Status: 200, Used: true, State: state})
		}
	}
	flush(w.t, w.Queue)
}
