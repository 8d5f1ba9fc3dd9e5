package sqlitequeue

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/scribegate/scribegate/forwarder/queue"
	"github.com/scribegate/scribegate/forwarder/queue/queuetest"
	"github.com/scribegate/scribegate/forwarder/queue/sqlitequeue/disk"
	"github.com/scribegate/scribegate/forwarder/seal"
)

// filled creates a store with events in every state that keeps a payload, all sealed
// with key 1, and returns their ids.
func filled(t *testing.T, n int) (o Options, ids []string) {
	t.Helper()
	o = optionsOf(t, keyOf(1))
	o.Settings.KeepDelivered = time.Hour
	q := mustOpen(t, o)
	ids = putMany(t, q, "e", n, "ehr", "lab")
	for i, d := range take(t, q, "ehr", n/2) {
		q.Settle(outcomeOf(q, d, []queue.State{queue.Dead, queue.Pending, queue.Delivered}[i%3]))
	}
	for _, d := range take(t, q, "lab", n/3) {
		q.Settle(outcomeOf(q, d, queue.Delivered))
	}
	for _, s := range []queue.State{queue.Quarantined, queue.Unrouted} {
		putItem(t, q, queue.Item{Event: queuetest.Event(string(s), time.Now()), State: s})
		ids = append(ids, string(s))
	}
	mustClose(t, q)
	return o, ids
}

// After resealing, the new key alone opens the store. Before, Open with it fails and
// changes nothing.
func TestReseal(t *testing.T) {
	t.Parallel()
	o, ids := filled(t, 300)
	alone, none := o, o
	alone.Keys, none.Keys = []seal.Key{keyOf(2)}, nil
	events := fmt.Sprint(len(ids), " events")
	wantRefused(t, alone, o.Path, events, "encryption_key")
	wantRefused(t, none, o.Path, events, o.Path+disk.Key)

	both, resealed := withKeys(o, keyOf(2), keyOf(1))
	q := mustOpen(t, both)
	wantResealed(t, resealed, Resealed{Events: len(ids)})
	wantPayloads(t, q, ids...)
	wantCounts(t, q)
	if err := q.SetKeys(alone.Keys); err != nil {
		t.Errorf("SetKeys with the new key alone: %v", err)
	}
	mustClose(t, q)
	wantRefused(t, o, o.Path, events)
	q = mustOpen(t, alone)
	wantPayloads(t, q, ids...)
	mustClose(t, q)

	q = mustOpen(t, both) // with nothing to reseal
	put(t, q, "later", "ehr")
	mustClose(t, q)
	if len(resealed) != 0 {
		t.Errorf("resealed: %+v although there was nothing to reseal", <-resealed)
	}
}

// Unfiled events are resealed after a crash too.
func TestResealUnfiled(t *testing.T) {
	t.Parallel()
	d := &failingDisk{}
	o := optionsOf(t, keyOf(1))
	o.fault = d.fault
	q := mustOpen(t, o)
	keepUnfiled(q)
	ids := putMany(t, q, "e", 100, "ehr")
	both, resealed := withKeys(o, keyOf(2), keyOf(1))
	both.Path, both.fault = crash(t, q, d), nil
	q = mustOpen(t, both)
	wantResealed(t, resealed, Resealed{Events: len(ids)})
	mustClose(t, q)
	both.Keys = []seal.Key{keyOf(2)}
	wantPayloads(t, mustOpen(t, both), ids...)
}

// Events that cannot be opened are counted and left unchanged, and still need their
// key.
func TestResealUnreadable(t *testing.T) {
	t.Parallel()
	o, ids := filled(t, 120)
	q := mustOpen(t, o)
	err := q.do(t.Context(), func(tx *tx) error {
		return tx.exec(`UPDATE payload SET sealed = CAST(substr(sealed, 1, 60) || zeroblob(length(sealed) - 60) AS BLOB) WHERE id IN (?, ?)`, ids[1], ids[110])
	})
	if err != nil {
		t.Fatal(err)
	}
	mustClose(t, q)
	both, resealed := withKeys(o, keyOf(2), keyOf(1))
	for range 2 { // also at the second attempt
		q = mustOpen(t, both)
		select {
		case got := <-resealed:
			if got.Unreadable != 2 {
				t.Errorf("resealed: %+v, want 2 that cannot be read", got)
			}
		case <-time.After(30 * time.Second):
			t.Fatal("OnResealed was not called")
		}
		if n := q.counts().Keys()[keyOf(1).Fingerprint()]; n != 2 {
			t.Errorf("%d events count for the older key, want 2", n)
		}
		mustClose(t, q)
	}
	alone := o
	alone.Keys = []seal.Key{keyOf(2)}
	wantRefused(t, alone, "2 events")
	q = mustOpen(t, both)
	<-resealed
	wantPayloads(t, q, slices.DeleteFunc(slices.Clone(ids), func(id string) bool { return id == ids[1] || id == ids[110] })...)
	if _, err := q.Payload(t.Context(), ids[1]); !errors.Is(err, queue.ErrUnreadable) {
		t.Errorf("Payload: %v", err)
	}
	if n, err := q.Purge(t.Context(), queue.PurgeSelection{IDs: []string{ids[1], ids[110]}, Force: true}); n != 2 || err != nil {
		t.Errorf("Purge: %d, %v", n, err)
	}
	if err := q.SetKeys(alone.Keys); err != nil {
		t.Errorf("SetKeys without the older key: %v", err)
	}
}

// Resealing pauses while nothing can be written, and continues afterwards.
func TestResealWhileStorageFails(t *testing.T) {
	t.Parallel()
	o, ids := filled(t, 300)
	o, resealed := withKeys(o, keyOf(2), keyOf(1))
	var commits atomic.Int64
	o.fault = func(string) error {
		if n := commits.Add(1); n == 3 || n > 5 && n < 12 {
			return errors.New("input/output error")
		}
		return nil
	}
	q := mustOpen(t, o)
	wantResealed(t, resealed, Resealed{Events: len(ids)})
	if commits.Load() < 12 {
		t.Errorf("%d commits: the test needs more", commits.Load())
	}
	wantPayloads(t, q, ids...)
	wantCounts(t, q)
}

// A reseal that was interrupted before any commit loses nothing and continues at the
// next start. Until it is complete, the older key is needed, and a start without it
// changes nothing.
func TestResealCutOff(t *testing.T) {
	t.Parallel()
	o, ids := filled(t, 300)
	both, resealed := withKeys(o, keyOf(2), keyOf(1))
	var copies []string
	both.fault = func(string) error { // no other commit is running
		path := filepath.Join(t.TempDir(), "queue.db")
		copyStore(t, o.Path, path)
		copies = append(copies, path)
		return nil
	}
	q := mustOpen(t, both)
	wantResealed(t, resealed, Resealed{Events: len(ids)})
	mustClose(t, q)
	both.fault = nil
	left := make(map[int]bool)
	for i, path := range copies {
		both.Path = path
		alone := both
		alone.Keys = []seal.Key{keyOf(2)}
		q, err := Open(alone)
		if err == nil { // resealing was complete
			wantPayloads(t, q, ids...)
			mustClose(t, q)
			continue
		}
		q = mustOpen(t, both)
		select {
		case got := <-resealed:
			left[got.Events] = true
			if got.Unreadable != 0 || got.Events == 0 {
				t.Errorf("copy %d: %+v", i, got)
			}
		case <-time.After(30 * time.Second):
			t.Fatalf("copy %d: OnResealed was not called", i)
		}
		mustClose(t, q)
		q = mustOpen(t, alone)
		wantPayloads(t, q, ids...)
		wantCounts(t, q)
		mustClose(t, q)
	}
	if len(left) < 4 {
		t.Errorf("events left to reseal in the copies: %v; no copy was made in the middle", left)
	}
}

// Events are stored, delivered, replayed and purged while the keys change.
func TestResealDuringTraffic(t *testing.T) {
	t.Parallel()
	o, ids := filled(t, 300)
	o, resealed := withKeys(o, keyOf(1))
	q := mustOpen(t, o)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var traffic sync.WaitGroup
	var later []string
	traffic.Go(func() {
		for i := 0; ctx.Err() == nil; i++ {
			later = append(later, putMany(t, q, fmt.Sprint("later", i, "-"), 10, "ehr", "lab")...)
			time.Sleep(time.Millisecond)
		}
	})
	traffic.Go(func() {
		for i := 0; ctx.Err() == nil; i++ {
			for _, d := range take(t, q, "ehr", 10) {
				if _, err := q.Load(d); err != nil && !errors.Is(err, queue.ErrNotFound) {
					t.Errorf("Load(%s): %v", d.EventID, err)
				}
				q.Settle(outcomeOf(q, d, []queue.State{queue.Pending, queue.Delivered}[i%2]))
			}
			time.Sleep(time.Millisecond)
		}
	})
	traffic.Go(func() {
		for _, id := range ids[:50] {
			if _, err := q.Purge(t.Context(), queue.PurgeSelection{IDs: []string{id}, Force: true}); err != nil {
				t.Errorf("Purge(%s): %v", id, err)
			}
			if _, err := q.Replay(t.Context(), queue.ReplaySelection{IDs: ids[200:201]}); err != nil {
				t.Errorf("Replay: %v", err)
			}
		}
	})
	for k := byte(2); k < 6; k++ {
		if err := q.SetKeys([]seal.Key{keyOf(k), keyOf(k - 1)}); err != nil {
			t.Fatal(err)
		}
		select {
		case got := <-resealed:
			if got.Unreadable != 0 || got.Events == 0 {
				t.Errorf("resealed: %+v", got)
			}
		case <-time.After(30 * time.Second):
			t.Fatal("OnResealed was not called")
		}
		if err := q.SetKeys([]seal.Key{keyOf(k)}); err != nil { // no stored event needs the older key
			t.Fatal(err)
		}
	}
	cancel()
	traffic.Wait()
	flush(t, q)
	wantPayloads(t, q, ids[50:]...)
	wantPayloads(t, q, later...)
	wantCounts(t, q)
	mustClose(t, q)
	o.Keys = []seal.Key{keyOf(5)}
	wantPayloads(t, mustOpen(t, o), later...)
}

// Close does not wait for the end of resealing, and the next start continues it.
func TestResealStopsAtClose(t *testing.T) {
	t.Parallel()
	o, ids := filled(t, 1500)
	o, resealed := withKeys(o, keyOf(2), keyOf(1))
	q := mustOpen(t, o)
	sealed := func() int64 { return q.counts().Keys()[keyOf(2).Fingerprint()] }
	eventually(t, "some events are resealed", func() bool { return sealed() > 0 })
	mustClose(t, q)
	n := sealed()
	if n == int64(len(ids)) || len(resealed) != 0 {
		t.Fatalf("%d of %d events were resealed before Close: the test needs only some", n, len(ids))
	}
	q = mustOpen(t, o)
	wantResealed(t, resealed, Resealed{Events: len(ids) - int(n)})
	wantPayloads(t, q, ids...)
}
