package boltqueue

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.etcd.io/bbolt"

	"github.com/scribegate/scribegate/forwarder/queue"
	"github.com/scribegate/scribegate/forwarder/queue/queuetest"
)

// A heldQueue is one whose file cannot be committed to while it is held, unlike
// its journal. While its gate is locked commits wait.
type heldQueue struct {
	*Queue
	path string
	held atomic.Bool
	gate sync.RWMutex
}

func openHeld(t *testing.T, path string, o Options) *heldQueue {
	t.Helper()
	h := &heldQueue{path: path}
	release := make(chan struct{})
	o.Path = path
	if o.Settings == (queue.Settings{}) {
		o.Settings = queue.DefaultSettings()
	}
	o.fault = func(stage string) error {
		if stage != beforeCommit {
			return nil
		}
		h.gate.RLock()   // commits come one after the other, so only whoever locks it is waited for
		h.gate.RUnlock() //nolint:staticcheck // a gate that is passed through
		if h.held.Load() {
			<-release
			return errors.New("the file is not there any more")
		}
		return nil
	}
	h.Queue = mustOpen(t, o)
	t.Cleanup(func() { close(release) })
	waitForJournal(t, h.Queue)
	return h
}

// waitForJournal waits until events go to the journal.
func waitForJournal(t *testing.T, q *Queue) {
	t.Helper()
	deadline := time.Now().Add(30 * time.Second)
	for !q.journal.takes(1) {
		if time.Now().After(deadline) {
			t.Fatal("the journal does not open")
		}
		time.Sleep(time.Millisecond)
	}
}

// killed leaves the files as a process leaves them that is killed, in another
// directory, and returns the queue file's path there.
func (h *heldQueue) killed(t *testing.T) string {
	t.Helper()
	dead := filepath.Join(t.TempDir(), "queue.db")
	for _, f := range []func(string) string{func(p string) string { return p }, keyFile, journalPath} {
		if _, err := os.Stat(f(h.path)); err == nil {
			copyFile(t, f(h.path), f(dead))
		}
	}
	return dead
}

// put stores an event without waiting for the file.
func put(t *testing.T, q *Queue, id string, upstreams ...string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	r, err := q.Store(ctx, queue.Item{Event: queuetest.Event(id, time.Unix(1773934200, 0)), Upstreams: upstreams})
	if err != nil || r.Duplicate {
		t.Fatalf("Store(%s): %+v, %v", id, r, err)
	}
}

func listed(t *testing.T, q *Queue) []string {
	t.Helper()
	p, err := q.Events(t.Context(), queue.Filter{Limit: 10_000})
	if err != nil {
		t.Fatal(err)
	}
	ids := []string{}
	for _, r := range p.Records {
		ids = append(ids, r.ID)
	}
	return ids
}

// What is answered while the file stands still is in the journal: it is there
// when the process was killed, and is delivered.
func TestJournalKeepsWhatTheFileHasNot(t *testing.T) {
	t.Parallel()
	h := openHeld(t, filepath.Join(t.TempDir(), "queue.db"), Options{})
	store(t, h.Queue, "before", "ehr")
	h.held.Store(true)
	want := []string{"before"}
	for i := range 50 {
		id := fmt.Sprint("held-", i)
		put(t, h.Queue, id, "ehr", "lab")
		want = append([]string{id}, want...)
	}
	dead := h.killed(t)

	r := mustReader(t, dead)
	var read []string
	tally, err := r.Read(t.Context(), ReadFilter{Payloads: true}, func(f Found) error {
		if f.Event == nil || f.Event.ID != f.Record.ID {
			t.Errorf("%s is read as %+v", f.Record.ID, f)
		}
		read = append(read, f.Record.ID)
		return nil
	})
	if err != nil || !tally.Whole() || tally.Events != len(want) || !slices.Equal(read, want) {
		t.Errorf("read %v, %+v, %v; want %v", read, tally, err, want)
	}
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}

	for range 2 { // the second time all is in the file
		q := mustOpen(t, Options{Path: dead, Settings: queue.DefaultSettings()})
		if got := listed(t, q); !slices.Equal(got, want) {
			t.Fatalf("there are %v, want %v", got, want)
		}
		wantSound(t, q)
		if n := len(claim(t, q, "lab", 100)); n != 50 {
			t.Errorf("%d can be claimed, want 50", n)
		}
		mustClose(t, q)
		if _, err := os.Stat(journalPath(dead)); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("the journal is left behind: %v", err)
		}
	}
}

func mustReader(t *testing.T, path string) *Reader {
	t.Helper()
	r, err := OpenReader(path, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = r.Close() })
	return r
}

// An event may be in the file although the file does not say so yet: it was taken
// there while it was written to the journal. It is one event all the same.
func TestJournaledEventThatTheFileHasUnsaid(t *testing.T) {
	t.Parallel()
	h := openHeld(t, filepath.Join(t.TempDir(), "queue.db"), Options{})
	store(t, h.Queue, "a", "ehr")
	entry := func() (b []byte) {
		if err := h.view(func(tx *bbolt.Tx) error {
			_, r, err := find(tx, "a", h.recent.seq("a"))
			if err == nil {
				r.deliveries[0].state = queue.Pending
				b = appendEntry(nil, 1000, r, bytes.Clone(tx.Bucket([]byte(bucketPayloads)).Get(seqKey(1))))
			}
			return err
		}); err != nil {
			t.Fatal(err)
		}
		return b
	}()
	dead := h.killed(t)
	f, err := os.OpenFile(journalPath(dead), os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteAt(entry, journalBlock); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	tally, err := mustReader(t, dead).Read(t.Context(), ReadFilter{}, func(Found) error { return nil })
	if err != nil || tally.Events != 1 {
		t.Errorf("read %+v, %v", tally, err)
	}
}

// An event whose store is not yet in the file is a duplicate all the same, and is
// answered only when the first is safe.
func TestJournaledEventIsADuplicate(t *testing.T) {
	t.Parallel()
	q := mustOpen(t, Options{Path: filepath.Join(t.TempDir(), "queue.db"), Settings: queue.DefaultSettings()})
	waitForJournal(t, q)
	for i := range 200 {
		it := queue.Item{Event: queuetest.Event(fmt.Sprint("e", i), time.Now()), Upstreams: []string{"ehr"}}
		if r, err := q.Store(t.Context(), it); err != nil || r.Duplicate {
			t.Fatalf("first: %+v, %v", r, err)
		}
		if r, err := q.Store(t.Context(), it); err != nil || !r.Duplicate {
			t.Fatalf("second: %+v, %v", r, err)
		}
	}
	if n := len(listed(t, q)); n != 200 {
		t.Errorf("%d events, want 200", n)
	}
}

// What was deleted since it was journaled does not come back, whenever the
// process is killed.
func TestDeletedDoesNotComeBack(t *testing.T) {
	t.Parallel()
	s := queue.DefaultSettings()
	s.DedupeWindow, s.HistoryRetention = time.Nanosecond, 0
	h := openHeld(t, filepath.Join(t.TempDir(), "queue.db"), Options{Settings: s})
	h.gate.Lock() // what is in the file before it is in the journal is not written there
	for _, id := range []string{"purged", "delivered", "kept"} {
		put(t, h.Queue, id, "ehr")
	}
	h.gate.Unlock()
	if _, err := h.Purge(t.Context(), queue.PurgeSelection{IDs: []string{"purged"}, Force: true}); err != nil {
		t.Fatal(err)
	}
	for _, d := range claim(t, h.Queue, "ehr", 10) {
		if d.EventID == "delivered" {
			h.Settle(queue.Outcome{Delivery: d, At: time.Now(), State: queue.Delivered, Result: queue.Success, Used: true})
		}
	}
	flush(t, h.Queue)
	sweep(t, h.Queue)
	if b, err := os.ReadFile(journalPath(h.path)); err != nil || !strings.Contains(string(b), "purged") {
		t.Fatalf("the journal does not hold what this test is about: %v", err)
	}
	q := mustOpen(t, Options{Path: h.killed(t), Settings: s})
	if got := listed(t, q); !slices.Equal(got, []string{"kept"}) {
		t.Errorf("there are %v, want what was kept", got)
	}
}

// A journal that goes round many times, beside a file that is slower, loses
// nothing; what it has no room for waits for the file.
func TestJournalGoesRound(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "queue.db")
	h := openHeld(t, path, Options{segment: 4 * journalBlock})
	var n int
	for range 400 {
		put(t, h.Queue, fmt.Sprint("e", n), "ehr")
		n++
	}
	h.catchUp(t.Context())
	h.held.Store(true)
	for { // until both parts are full
		ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
		_, err := h.Store(ctx, queue.Item{Event: queuetest.Event(fmt.Sprint("e", n), time.Now()), Upstreams: []string{"ehr"}})
		cancel()
		if err != nil {
			break
		}
		n++
	}
	if n < 404 {
		t.Errorf("the journal took %d events while the file stood still", n-400)
	}
	q := mustOpen(t, Options{Path: h.killed(t), Settings: queue.DefaultSettings()})
	if got := len(listed(t, q)); got != n {
		t.Errorf("%d events are there, want %d", got, n)
	}
	wantSound(t, q)
}

// The limit on the queue's size holds for what is only in the journal.
func TestJournalKeepsToTheLimit(t *testing.T) {
	t.Parallel()
	s := queue.DefaultSettings()
	s.MaxSize = 4000
	h := openHeld(t, filepath.Join(t.TempDir(), "queue.db"), Options{Settings: s})
	h.held.Store(true)
	taken := 0
	for i := range 100 {
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		_, err := h.Store(ctx, queue.Item{Event: queuetest.Event(fmt.Sprint("e", i), time.Now()), Upstreams: []string{"ehr"}})
		cancel()
		if err != nil {
			break
		}
		taken++
	}
	q := mustOpen(t, Options{Path: h.killed(t), Settings: s})
	st, err := q.Stats()
	if err != nil || st.Bytes > s.MaxSize || st.Upstreams["ehr"].Pending != int64(taken) || taken < 3 {
		t.Errorf("%d were taken; %+v, %v", taken, st, err)
	}
}

// A key that only the journal's events need is needed to open the queue, and
// cannot be taken away from an open one.
func TestJournalNeedsItsKey(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "queue.db")
	h := openHeld(t, path, Options{Keys: []Key{keyOf(1)}})
	h.held.Store(true)
	put(t, h.Queue, "a", "ehr")
	dead := h.killed(t)
	if err := h.CheckKeys([]Key{keyOf(2)}); err == nil {
		t.Error("the key could be taken away")
	}
	before := snapshot(t, filepath.Dir(dead))
	if _, err := Open(Options{Path: dead, Keys: []Key{keyOf(2)}}); err == nil || !strings.Contains(err.Error(), "add the older key") {
		t.Errorf("Open with another key: %v", err)
	}
	if after := snapshot(t, filepath.Dir(dead)); fmt.Sprint(before) != fmt.Sprint(after) {
		t.Errorf("before it was %v and after it is %v", before, after)
	}
	resealed := make(chan Resealed, 9)
	q := mustOpen(t, Options{Path: dead, Keys: []Key{keyOf(2), keyOf(1)}, Settings: queue.DefaultSettings(), OnResealed: func(r Resealed) { resealed <- r }})
	d := claim(t, q, "ehr", 1)
	if len(d) != 1 {
		t.Fatal("it cannot be claimed")
	}
	if _, err := q.Load(d[0]); err != nil {
		t.Error(err)
	}
	wantSound(t, q)
	select {
	case <-resealed:
	case <-time.After(30 * time.Second):
		t.Error("it is not sealed anew")
	}
	if sealed := q.snapshot().sealed(); sealed[keyOf(2).fingerprint()] != 1 {
		t.Errorf("sealed is %v, want by the first key", sealed)
	}
}

// A journal of another queue holds events that may be nowhere else: it is not
// overwritten, and nothing of it is taken.
func TestForeignJournal(t *testing.T) {
	t.Parallel()
	other := openHeld(t, filepath.Join(t.TempDir(), "queue.db"), Options{})
	other.held.Store(true)
	put(t, other.Queue, "a", "ehr")

	path := filepath.Join(t.TempDir(), "queue.db")
	mustClose(t, mustOpen(t, Options{Path: path, Settings: queue.DefaultSettings()}))
	copyFile(t, journalPath(other.path), journalPath(path))
	_, err := Open(Options{Path: path})
	if err == nil || !strings.Contains(err.Error(), journalPath(path)) || !strings.Contains(err.Error(), "move this one away") {
		t.Errorf("Open: %v; want an error that names the journal and what to do", err)
	}
	if err := os.Remove(journalPath(path)); err != nil {
		t.Fatal(err)
	}
	mustClose(t, mustOpen(t, Options{Path: path, Settings: queue.DefaultSettings()}))
}

// Where no journal can be made, events are stored without.
func TestNoJournal(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "queue.db")
	if err := os.MkdirAll(filepath.Join(journalPath(path)+".new", "full"), 0o700); err != nil {
		t.Fatal(err)
	}
	q := mustOpen(t, Options{Path: path, Settings: queue.DefaultSettings()})
	put(t, q, "a", "ehr")
	if q.journal.takes(1) {
		t.Error("there is a journal")
	}
	mustClose(t, q)
	q = mustOpen(t, Options{Path: path, Settings: queue.DefaultSettings()})
	if got := listed(t, q); len(got) != 1 {
		t.Errorf("there are %v", got)
	}
}

// An event that came after the others were looked at is not written with them: it
// may be a duplicate.
func TestJournalGroupEndsBeforeWhatIsNotSifted(t *testing.T) {
	t.Parallel()
	j := newJournal(filepath.Join(t.TempDir(), "queue.db"), make([]byte, identitySize), 0, 1<<20)
	j.fault = func(string) error { return nil }
	var err error
	if j.file, err = j.create(); err != nil {
		t.Fatal(err)
	}
	defer j.file.os.Close()
	sifted, late := &storing{sealed: []byte("sealed")}, &storing{sealed: []byte("sealed")}
	sifted.alone.Store(true)
	j.pending = []logged{sifted, new(settling), late, new(settling)}
	for i, want := range []int{2, 0, 2} {
		if i == 2 {
			late.alone.Store(true)
		}
		if group, _ := j.group(); len(group) != want {
			t.Errorf("group %d is of %d, want %d", i, len(group), want)
		}
	}
	if len(j.pending) > 0 {
		t.Errorf("%d are left", len(j.pending))
	}
}
