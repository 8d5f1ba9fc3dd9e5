package boltqueue

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.etcd.io/bbolt"

	"github.com/scribegate/scribegate/forwarder/queue"
	"github.com/scribegate/scribegate/forwarder/queue/queuetest"
)

// wantSound checks the file page by page, and that what is counted in it is
// what is there.
func wantSound(t testing.TB, q *Queue) {
	t.Helper()
	q.catchUp(t.Context())
	if err := checkSound(t, q); err != nil {
		t.Fatal(err)
	}
}

// checkSound checks in the committing goroutine, since bbolt's check must not meet
// a commit. The error may be that of another change, with which it was to be made.
func checkSound(t testing.TB, q *Queue) error {
	t.Helper()
	return q.do(context.Background(), func(*txn) error { return q.view(func(tx *bbolt.Tx) error { return sound(t, tx) }) })
}

func sound(t testing.TB, tx *bbolt.Tx) error {
	t.Helper()
	counted := make(counts)
	for err := range tx.Check() {
		t.Errorf("the file is damaged: %v", err)
	}
	c := tx.Bucket([]byte(bucketEvents)).Cursor()
	for k, v := c.First(); k != nil; k, v = c.Next() {
		r, err := decodeRecord(v)
		if err != nil {
			return err
		}
		if r.quarantined {
			counted[countQuarantined]++
		}
		if r.payload {
			counted[countBytes] += int64(len(tx.Bucket([]byte(bucketPayloads)).Get(k)))
			counted[countSealed+string(r.key[:])]++
		}
		for _, d := range r.deliveries {
			switch d.state {
			case queue.Pending:
				counted[countPending+d.upstream]++
			case queue.Dead:
				counted[countDead+d.upstream]++
			}
		}
	}
	got := readCounts(tx)
	for _, uncounted := range []string{countJournal, countTime} {
		if n := got[uncounted]; n != 0 {
			counted[uncounted] = n
		}
	}
	if !maps.Equal(got, counted) {
		t.Errorf("the file counts %+v, and %+v are in it", got, counted)
	}
	return errors.Join(soundBlocks(tx), soundNames(tx))
}

// A commit that fails after its meta page was written has happened: it must not
// be made a second time, and the store is answered with success.
func TestCommitThatHappenedAfterAll(t *testing.T) {
	t.Parallel()
	var failures atomic.Int64
	o := Options{
		Path: filepath.Join(t.TempDir(), "queue.db"), Settings: queue.DefaultSettings(),
		fault: func(stage string) error {
			if stage == afterCommit && failures.Add(-1) >= 0 {
				return errors.New("input/output error")
			}
			return nil
		},
	}
	q := mustOpen(t, o)
	failures.Store(1)
	store(t, q, "a", "ehr")
	failures.Store(1)
	q.Settle(queue.Outcome{Delivery: claim(t, q, "ehr", 1)[0], State: queue.Pending, Result: queue.Failure, Used: true, Next: q.now()})
	flush(t, q)
	if d := claim(t, q, "ehr", 1); len(d) != 1 || d[0].Attempts != 1 {
		t.Fatalf("claimed %+v, want one delivery with one attempt", d)
	}
	wantSound(t, q)
}

// limit lets the file grow no further, so that bbolt itself fails as on a full
// disk; 0 is no limit.
func limit(t testing.TB, q *Queue, bytes func() int) {
	t.Helper()
	if err := q.do(context.Background(), func(*txn) error {
		q.file.db.MaxSize = bytes()
		return nil
	}); err != nil {
		t.Fatal(err)
	}
}

// It runs beside no other test: which stores find room depends on how soon they are
// taken to the file, and a machine that is busy can leave no page for an outcome.
func TestDiskFull(t *testing.T) {
	q := mustOpen(t, Options{Path: filepath.Join(t.TempDir(), "queue.db"), Settings: queue.DefaultSettings()})
	const before = lingerCount + batchStores // more than what the journal may hold when the disk is full
	for i := range before {
		put(t, q, fmt.Sprint("before", i), "ehr")
	}
	waitUntil(t, func() bool { q.catchUp(t.Context()); return !q.journal.behind() })
	limit(t, q, func() int { return 1 })

	var stored, failed []string
	for i := 0; len(failed) < 3; i++ {
		id := fmt.Sprint("e", i)
		ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
		_, err := q.Store(ctx, queue.Item{Event: queuetest.Event(id, time.Now()), Upstreams: []string{"ehr"}})
		cancel()
		if err == nil {
			stored = append(stored, id)
		} else {
			failed = append(failed, id)
		}
	}
	for _, id := range failed {
		if _, err := q.Event(t.Context(), id); !errors.Is(err, queue.ErrNotFound) {
			t.Errorf("Event(%s) after its store failed: %v", id, err)
		}
	}

	// Outcomes go into free pages and make more, and accepting resumes.
	for _, d := range claim(t, q, "ehr", before-10) {
		q.Settle(queue.Outcome{Delivery: d, State: queue.Delivered, Result: queue.Success})
	}
	for _, id := range failed {
		store(t, q, id, "ehr")
	}
	flush(t, q)
	limit(t, q, func() int { return 0 })
	for _, id := range stored {
		if _, err := q.Payload(t.Context(), id); err != nil {
			t.Errorf("Payload(%s): %v", id, err)
		}
	}
	wantSound(t, q)
}

// Where there is room for some of the events that wait, though not for all that
// one transaction would take, they are stored.
func TestRoomForSome(t *testing.T) {
	t.Parallel()
	q := mustOpen(t, Options{Path: filepath.Join(t.TempDir(), "queue.db"), Settings: queue.DefaultSettings(), segment: -1})
	const events, size, room = 64, 512 << 10, 8 << 20
	limit(t, q, func() int { return room })
	hold := make(chan struct{})
	held := newTask(func(*txn) error { <-hold; return nil })
	if err := q.intake.do(held); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var stored atomic.Int64
	var wg sync.WaitGroup
	for i := range events {
		wg.Go(func() {
			e := queuetest.Event(fmt.Sprint("large", i), time.Now())
			e.Body = make([]byte, size)
			if _, err := q.Store(ctx, queue.Item{Event: e, Upstreams: []string{"ehr"}}); err == nil {
				stored.Add(1)
			}
		})
	}
	waitUntil(t, func() bool { return waitingBytes(q) >= events*size })
	close(hold)
	waitUntil(t, func() bool { return stored.Load() >= room/size/2 }) // or the test runs into its deadline
	cancel()
	wg.Wait()
	if n := stored.Load(); n == events {
		t.Errorf("all %d were stored, which there was no room for", n)
	}
	limit(t, q, func() int { return 0 })
	wantSound(t, q)
}

// waitingBytes are those of the payloads that wait for a transaction.
func waitingBytes(q *Queue) int64 {
	q.intake.mu.Lock()
	defer q.intake.mu.Unlock()
	return q.intake.bytes
}

// What is put back after a failure keeps its order: events are delivered in the
// order of arrival.
func TestOrderAfterFailures(t *testing.T) {
	t.Parallel()
	var failing atomic.Bool
	var failures atomic.Int64
	q := mustOpen(t, Options{
		Path: filepath.Join(t.TempDir(), "queue.db"), Settings: queue.DefaultSettings(), segment: -1,
		fault: func(stage string) error {
			if stage == beforeReserve && failing.Load() {
				failures.Add(1)
				return errors.New("no space left on device")
			}
			return nil
		},
	})
	failing.Store(true)
	const events = 37
	var wg sync.WaitGroup
	for i := range events {
		before := waitingBytes(q)
		wg.Go(func() { store(t, q, fmt.Sprint(i), "ehr") })
		waitUntil(t, func() bool { return waitingBytes(q) > before })
	}
	tried := failures.Load()
	waitUntil(t, func() bool { return failures.Load() > tried+20 })
	failing.Store(false)
	wg.Wait()
	for i, d := range claim(t, q, "ehr", events) {
		if d.EventID != fmt.Sprint(i) {
			t.Errorf("delivered as number %d: event %s", i, d.EventID)
		}
	}
}

// A change that fails or panics takes no other with it.
func TestOneBadChangeAmongOthers(t *testing.T) {
	t.Parallel()
	q := mustOpen(t, Options{Path: filepath.Join(t.TempDir(), "queue.db"), Settings: queue.DefaultSettings()})
	bad := errors.New("bad")
	for name, change := range map[string]func(t *txn) error{
		"fails":  func(t *txn) error { t.put(bucketMeta, []byte("left"), []byte("behind")); return bad },
		"panics": func(t *txn) error { t.put(bucketMeta, []byte("left"), []byte("behind")); panic("page 7") },
	} {
		hold := make(chan struct{})
		held := newTask(func(*txn) error { <-hold; return nil })
		if err := q.intake.do(held); err != nil {
			t.Fatal(err)
		}
		var wg sync.WaitGroup
		for i := range 5 {
			wg.Go(func() { store(t, q, fmt.Sprint(name, i), "ehr") })
		}
		k := newTask(change)
		if err := q.intake.do(k); err != nil {
			t.Fatal(err)
		}
		close(hold)
		if err := <-k.answer; err == nil {
			t.Errorf("the change that %s is answered with success", name)
		}
		wg.Wait()
	}
	if n := len(claim(t, q, "ehr", 100)); n != 10 {
		t.Errorf("%d deliveries, want 10", n)
	}
	err := q.view(func(tx *bbolt.Tx) error {
		if tx.Bucket([]byte(bucketMeta)).Get([]byte("left")) != nil {
			t.Error("the bad change left something behind")
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	wantSound(t, q)
}

// Whoever sends an event a second time must not be told so before the first is
// durable.
func TestDuplicateWaitsForTheFirst(t *testing.T) {
	t.Parallel()
	var failing atomic.Bool
	q := mustOpen(t, Options{
		Path: filepath.Join(t.TempDir(), "queue.db"), Settings: queue.DefaultSettings(),
		fault: func(string) error {
			if failing.Load() {
				return errors.New("no space left on device")
			}
			return nil
		},
	})
	failing.Store(true)
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			r, err := q.Store(ctx, queue.Item{Event: queuetest.Event("a", time.Now()), Upstreams: []string{"ehr"}})
			if err == nil {
				t.Errorf("Store: %+v though nothing was committed", r)
			}
		})
	}
	wg.Wait()
	failing.Store(false)
	store(t, q, "a", "ehr")
}

// While outcomes cannot be written, no more is claimed than memory allows, and
// whoever waits is woken when they can be again.
func TestClaimWaitsForOutcomes(t *testing.T) {
	t.Parallel()
	var failing atomic.Bool
	q := mustOpen(t, Options{
		Path: filepath.Join(t.TempDir(), "queue.db"), Settings: queue.DefaultSettings(),
		fault: func(string) error {
			if failing.Load() {
				return errors.New("no space left on device")
			}
			return nil
		},
	})
	store(t, q, "a", "ehr")
	store(t, q, "b", "ehr")
	d := claim(t, q, "ehr", 1)[0]
	failing.Store(true)
	for range maxOutcomes + batchOutcomes {
		q.Settle(queue.Outcome{Delivery: d, State: queue.Delivered, Result: queue.Success})
	}
	woken := make(chan string, 1000)
	q.Notify(func(upstream string) { woken <- upstream })
	if ds := claim(t, q, "ehr", 1); len(ds) != 0 {
		t.Fatalf("claimed %+v though too many outcomes wait", ds)
	}
	failing.Store(false)
	if u := <-woken; u != "ehr" {
		t.Fatalf("%s is woken, want ehr", u)
	}
	if ds := claim(t, q, "ehr", 1); len(ds) != 1 || ds[0].EventID != "b" {
		t.Fatalf("claimed %+v, want b", ds)
	}
}

// Closing gives up what cannot be committed, and says so.
func TestCloseWhileStorageFails(t *testing.T) {
	t.Parallel()
	var failing atomic.Bool
	q := mustOpen(t, Options{
		Path: filepath.Join(t.TempDir(), "queue.db"), Settings: queue.DefaultSettings(),
		fault: func(string) error {
			if failing.Load() {
				return errors.New("no space left on device")
			}
			return nil
		},
	})
	store(t, q, "a", "ehr")
	d := claim(t, q, "ehr", 1)[0]
	failing.Store(true)
	q.Settle(queue.Outcome{Delivery: d, State: queue.Delivered, Result: queue.Success})
	answer := make(chan error, 1)
	go func() {
		_, err := q.Store(t.Context(), queue.Item{Event: queuetest.Event("b", time.Now()), Upstreams: []string{"ehr"}})
		answer <- err
	}()
	if err := q.Close(); err == nil {
		t.Error("Close succeeded though an outcome was lost")
	}
	if err := <-answer; err == nil {
		t.Error("Store succeeded though nothing was committed")
	}
}

func TestOnCommit(t *testing.T) {
	t.Parallel()
	var commits, changes atomic.Int64
	q := mustOpen(t, Options{
		Path: filepath.Join(t.TempDir(), "queue.db"), Settings: queue.DefaultSettings(),
		OnCommit: func(took time.Duration, n int) {
			if took <= 0 || n <= 0 {
				t.Errorf("OnCommit(%v, %d)", took, n)
			}
			commits.Add(1)
			changes.Add(int64(n))
		},
	})
	store(t, q, "a", "ehr")
	var before int64
	waitUntil(t, func() bool { // until it is in the file, in the journal, and the file says so
		before = commits.Load()
		idle(t, q)
		time.Sleep(20 * time.Millisecond)
		return commits.Load() == before
	})
	if before == 0 || changes.Load() == 0 {
		t.Fatal("OnCommit was not called")
	}
	if r, err := q.Store(t.Context(), queue.Item{Event: queuetest.Event("a", time.Now()), Upstreams: []string{"ehr"}}); err != nil || !r.Duplicate {
		t.Fatalf("Store: %+v, %v", r, err)
	}
	idle(t, q)
	if commits.Load() != before {
		t.Error("a duplicate cost a commit")
	}
}

// What could not be committed together is tried in parts: outcomes without the
// stores, then ever fewer of each.
func TestPart(t *testing.T) {
	t.Parallel()
	outcome, other := op(&settling{}), op(&storing{})
	for _, c := range []struct {
		name        string
		ops         []op
		first, rest int
	}{
		{"one store", []op{other}, 0, 1},
		{"stores", []op{other, other}, 1, 1},
		{"one outcome", []op{outcome}, 0, 1},
		{"outcomes", []op{outcome, outcome, outcome}, 1, 2},
		{"outcomes and stores", []op{other, outcome, other, outcome}, 2, 2},
	} {
		first, rest := part(c.ops)
		if len(first) != c.first || len(rest) != c.rest {
			t.Errorf("%s: %d and %d, want %d and %d", c.name, len(first), len(rest), c.first, c.rest)
		}
	}
}

// Whoever wants to know is told that writing fails, and that it does no more.
func TestOnFailure(t *testing.T) {
	t.Parallel()
	var failing atomic.Bool
	told := make(chan bool, 1000)
	q := mustOpen(t, Options{
		Path: filepath.Join(t.TempDir(), "queue.db"), Settings: queue.DefaultSettings(), segment: -1,
		OnFailure: func(err error) { told <- err != nil },
		fault: func(string) error {
			if failing.Load() {
				return errors.New("input/output error")
			}
			return nil
		},
	})
	store(t, q, "a", "ehr")
	failing.Store(true)
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if _, err := q.Store(ctx, queue.Item{Event: queuetest.Event("b", time.Now()), Upstreams: []string{"ehr"}}); err == nil {
		t.Fatal("Store: nil, want an error")
	}
	if !<-told {
		t.Error("it was told that writing goes on")
	}
	failing.Store(false)
	store(t, q, "c", "ehr")
	for <-told { // or the test runs into its deadline
	}
}

// That several changes find no room together is no failure where each finds it.
func TestOnFailureOfSeveral(t *testing.T) {
	t.Parallel()
	var failures atomic.Int64
	told := make(chan error, 1000)
	q := mustOpen(t, Options{
		Path: filepath.Join(t.TempDir(), "queue.db"), Settings: queue.DefaultSettings(), segment: -1,
		OnFailure: func(err error) { told <- err },
		fault: func(stage string) error {
			if stage == beforeReserve && failures.Add(-1) >= 0 {
				return errors.New("no space left on device")
			}
			return nil
		},
	})
	hold := make(chan struct{})
	held := newTask(func(*txn) error { <-hold; return nil })
	if err := q.intake.do(held); err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for i := range 8 {
		before := waitingBytes(q)
		wg.Go(func() { store(t, q, fmt.Sprint(i), "ehr") })
		waitUntil(t, func() bool { return waitingBytes(q) > before })
	}
	failures.Store(1)
	close(hold)
	wg.Wait()
	if failures.Load() >= 0 {
		t.Error("nothing has failed")
	}
	if len(told) > 0 {
		t.Errorf("it was told of a failure: %v", <-told)
	}
}

// While events cannot be stored, outcomes that can be written are no recovery;
// and that it is over is noticed although no event comes.
func TestOutcomesAreNoRecovery(t *testing.T) {
	t.Parallel()
	var full atomic.Bool
	told := make(chan bool, 10_000)
	q := mustOpen(t, Options{
		Path: filepath.Join(t.TempDir(), "queue.db"), Settings: queue.DefaultSettings(), segment: -1,
		OnFailure: func(err error) { told <- err != nil },
		fault: func(stage string) error {
			if stage == beforeReserve && full.Load() {
				return errors.New("no space left on device")
			}
			return nil
		},
	})
	for i := range 20 {
		store(t, q, fmt.Sprint("e", i), "ehr")
	}
	full.Store(true)
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
	defer cancel()
	refused := make(chan error, 1)
	go func() {
		_, err := q.Store(ctx, queue.Item{Event: queuetest.Event("refused", time.Now()), Upstreams: []string{"ehr"}})
		refused <- err
	}()
	if !<-told {
		t.Fatal("it was told that writing goes on")
	}
	deliver(t, q, 20)
	if err := <-refused; err == nil {
		t.Error("an event was stored although there was no room")
	}
	for len(told) > 0 {
		if !<-told {
			t.Error("it was told that events can be stored again, since outcomes could be written")
		}
	}
	full.Store(false)
	for <-told { // or the test runs into its deadline
	}
}

// The sweep comes also where there is always something to commit.
func TestSweepUnderLoad(t *testing.T) {
	t.Parallel()
	s := queue.DefaultSettings()
	s.HistoryRetention, s.DedupeWindow = 20*time.Millisecond, 20*time.Millisecond
	var q atomic.Pointer[Queue]
	busy := func(x *txn) error { x.put(bucketMeta, []byte("load"), nil); return nil }
	q.Store(mustOpen(t, Options{
		Path: filepath.Join(t.TempDir(), "queue.db"), Settings: s,
		OnCommit: func(time.Duration, int) { // the next is there before this one is answered
			if q := q.Load(); q != nil {
				_ = q.intake.do(newTask(busy))
			}
		},
	}))
	store(t, q.Load(), "a", "ehr")
	deliver(t, q.Load(), 1)
	for {
		if _, err := q.Load().Event(t.Context(), "a"); err != nil {
			return // or the test runs into its deadline
		}
		time.Sleep(time.Millisecond)
	}
}

// What is in the store already is a duplicate although nothing can be written.
func TestDuplicateOnAFullDisk(t *testing.T) {
	t.Parallel()
	q := mustOpen(t, Options{Path: filepath.Join(t.TempDir(), "queue.db"), Settings: queue.DefaultSettings()})
	store(t, q, "known", "ehr")
	limit(t, q, func() int { return 1 })
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	for i := range 20 { // so that the known one shares its transaction with them
		go func() {
			e := queuetest.Event(fmt.Sprint("new", i), time.Now())
			e.Body = make([]byte, 1<<20)
			_, _ = q.Store(ctx, queue.Item{Event: e, Upstreams: []string{"ehr"}})
		}()
	}
	for range 5 {
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		r, err := q.Store(ctx, queue.Item{Event: queuetest.Event("known", time.Now()), Upstreams: []string{"ehr"}})
		cancel()
		if err != nil || !r.Duplicate {
			t.Fatalf("Store of a known event: %+v, %v; want a duplicate", r, err)
		}
	}
}

// Whoever waits for a disk is told what is wrong with it, whether or not the event
// was among those that were tried.
func TestEveryStoreKnowsTheCause(t *testing.T) {
	t.Parallel()
	q := mustOpen(t, Options{
		Path: filepath.Join(t.TempDir(), "queue.db"), Settings: queue.DefaultSettings(), segment: -1,
		fault: func(stage string) error {
			if stage == beforeReserve {
				return errors.New("no space left on device")
			}
			return nil
		},
	})
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
	defer cancel()
	var wg sync.WaitGroup
	for i := range 2 * batchStores {
		wg.Go(func() {
			_, err := q.Store(ctx, queue.Item{Event: queuetest.Event(fmt.Sprint(i), time.Now()), Upstreams: []string{"ehr"}})
			if err == nil || !strings.Contains(err.Error(), "no space left on device") {
				t.Errorf("Store: %v", err)
			}
		})
	}
	wg.Wait()
}
