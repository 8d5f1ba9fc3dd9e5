package boltqueue

import (
	"errors"
	"path/filepath"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/scribegate/scribegate/forwarder/queue"
	"github.com/scribegate/scribegate/forwarder/queue/queuetest"
)

// holdLoop keeps events from being taken to the file until it is let go.
func holdLoop(t *testing.T, q *Queue) (letGo func()) {
	t.Helper()
	begun, hold := make(chan struct{}), make(chan struct{})
	k := newTask(func(*txn) error {
		close(begun)
		<-hold
		return nil
	})
	if err := q.intake.do(k); err != nil {
		t.Fatal(err)
	}
	<-begun
	return func() { close(hold) }
}

// lend claims exactly one delivery, which may be due a moment after its store.
func lend(t *testing.T, q *Queue, upstream string) queue.Delivery {
	t.Helper()
	for until := time.Now().Add(30 * time.Second); ; time.Sleep(time.Millisecond) {
		c, err := q.Claim(upstream, time.Now(), queue.Want{First: 1, Retry: 1})
		if err != nil {
			t.Fatal(err)
		}
		if len(c.Deliveries) == 1 {
			return c.Deliveries[0]
		}
		if len(c.Deliveries) > 1 || time.Now().After(until) {
			t.Fatalf("%d deliveries for %s, want one", len(c.Deliveries), upstream)
		}
	}
}

func wantNone(t *testing.T, q *Queue, upstream string) {
	t.Helper()
	c, err := q.Claim(upstream, time.Now(), queue.Want{First: 10, Retry: 10})
	if err != nil || len(c.Deliveries) > 0 {
		t.Errorf("%s gets %+v (%v), want none", upstream, c.Deliveries, err)
	}
}

func outcomeOf(d queue.Delivery, s queue.State) queue.Outcome {
	o := queue.Outcome{Delivery: d, At: time.Now(), Duration: time.Millisecond, Result: queue.Success, Status: 204, Used: true, State: s}
	if s != queue.Delivered {
		o.Result, o.Status, o.Next = queue.Failure, 500, o.At.Add(100*time.Millisecond)
	}
	return o
}

func wantLoaded(t *testing.T, q *Queue, d queue.Delivery) {
	t.Helper()
	e, err := q.Load(d)
	if err != nil || e.ID != d.EventID {
		t.Fatalf("Load(%s) = %+v, %v", d.EventID, e, err)
	}
	if d.Size < int64(len(e.Body)) {
		t.Errorf("%s has a size of %d, less than the %d bytes of its body", d.EventID, d.Size, len(e.Body))
	}
}

// statesOf tells of an event's deliveries.
func statesOf(t *testing.T, q *Queue, id string) (states []queue.State, r queue.Record) {
	t.Helper()
	r, err := q.Event(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range r.Deliveries {
		states = append(states, d.State)
	}
	return states, r
}

// What happens to an event before the file has it goes there with it.
func TestFreshOutcomeGoesWithTheEvent(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		settings func(*queue.Settings)
		outcomes map[string]queue.State // by upstream; the others are lent and not settled
		want     []queue.State          // of ehr and lab
		payload  bool
	}{
		"delivered to both":      {outcomes: map[string]queue.State{"ehr": queue.Delivered, "lab": queue.Delivered}, want: []queue.State{queue.Delivered, queue.Delivered}},
		"delivered to one":       {outcomes: map[string]queue.State{"ehr": queue.Delivered}, want: []queue.State{queue.Delivered, queue.Pending}, payload: true},
		"dead at one":            {outcomes: map[string]queue.State{"ehr": queue.Delivered, "lab": queue.Dead}, want: []queue.State{queue.Delivered, queue.Dead}, payload: true},
		"to be tried again":      {outcomes: map[string]queue.State{"ehr": queue.Pending, "lab": queue.Delivered}, want: []queue.State{queue.Pending, queue.Delivered}, payload: true},
		"lent and not settled":   {want: []queue.State{queue.Pending, queue.Pending}, payload: true},
		"delivered and kept":     {settings: func(s *queue.Settings) { s.KeepDelivered = time.Hour }, outcomes: map[string]queue.State{"ehr": queue.Delivered, "lab": queue.Delivered}, want: []queue.State{queue.Delivered, queue.Delivered}, payload: true},
		"delivered and not kept": {settings: func(s *queue.Settings) { s.HistoryRetention = time.Hour }, outcomes: map[string]queue.State{"ehr": queue.Delivered, "lab": queue.Delivered}, want: []queue.State{queue.Delivered, queue.Delivered}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o := Options{Settings: queue.DefaultSettings()}
			if tt.settings != nil {
				tt.settings(&o.Settings)
			}
			h := openHeld(t, filepath.Join(t.TempDir(), "queue.db"), o)
			letGo := holdLoop(t, h.Queue)
			put(t, h.Queue, "a", "ehr", "lab")
			var left []queue.Delivery
			for _, u := range []string{"ehr", "lab"} {
				d := lend(t, h.Queue, u)
				wantLoaded(t, h.Queue, d)
				wantNone(t, h.Queue, u)
				if s, ok := tt.outcomes[u]; ok {
					h.Settle(outcomeOf(d, s))
				} else {
					left = append(left, d)
				}
				wantNone(t, h.Queue, u)
			}
			letGo()
			states, r := statesOf(t, h.Queue, "a")
			if !slices.Equal(states, tt.want) || r.HasPayload != tt.payload {
				t.Errorf("%+v, want %v and payload %v", r, tt.want, tt.payload)
			}
			for _, d := range r.Deliveries {
				if _, settled := tt.outcomes[d.Upstream]; settled != (len(d.History) == 1) || settled != (d.Attempts == 1) {
					t.Errorf("%s has the history %+v after %d attempts", d.Upstream, d.History, d.Attempts)
				}
			}
			s, err := h.Stats()
			if err != nil || (s.Bytes > 0) != tt.payload {
				t.Errorf("%+v (%v), want payload: %v", s, err, tt.payload)
			}
			for _, d := range left { // and still lent
				if n := s.Upstreams[d.Upstream].InFlight; n != 1 {
					t.Errorf("%d in flight to %s, want 1", n, d.Upstream)
				}
				wantNone(t, h.Queue, d.Upstream)
				wantLoaded(t, h.Queue, d)
				h.Settle(outcomeOf(d, queue.Delivered))
			}
			if slices.Contains(tt.want, queue.Pending) && len(left) == 0 {
				if d := lend(t, h.Queue, "ehr"); d.Attempts != 1 {
					t.Errorf("the retry is %+v", d)
				}
			}
			wantSound(t, h.Queue)
			if states, _ := statesOf(t, h.Queue, "a"); len(left) > 0 && slices.Contains(states, queue.Pending) {
				t.Errorf("%v, want what was lent to be delivered", states)
			}
		})
	}
}

// An outcome that comes while the event is being taken to the file goes there
// after it.
func TestFreshOutcomeDuringTheCommit(t *testing.T) {
	t.Parallel()
	h := openHeld(t, filepath.Join(t.TempDir(), "queue.db"), Options{})
	letGo := holdLoop(t, h.Queue)
	put(t, h.Queue, "a", "ehr")
	put(t, h.Queue, "b", "ehr")
	put(t, h.Queue, "c", "ehr")
	a, b, c := lend(t, h.Queue, "ehr"), lend(t, h.Queue, "ehr"), lend(t, h.Queue, "ehr")
	h.gate.Lock()
	letGo()
	waitUntil(t, func() bool { return taken(h.Queue, c) })
	h.Settle(outcomeOf(a, queue.Delivered))
	h.Release(b)
	wantLoaded(t, h.Queue, c)
	wantNone(t, h.Queue, "ehr")
	h.gate.Unlock()
	for id, want := range map[string]queue.State{"a": queue.Delivered, "b": queue.Pending, "c": queue.Pending} {
		waitUntil(t, func() bool { states, _ := statesOf(t, h.Queue, id); return states[0] == want })
	}
	if d := lend(t, h.Queue, "ehr"); d.EventID != "b" {
		t.Errorf("%s is due, want what was released", d.EventID)
	}
	wantNone(t, h.Queue, "ehr")
	wantLoaded(t, h.Queue, c)
	h.Settle(outcomeOf(c, queue.Delivered))
	waitUntil(t, func() bool { states, _ := statesOf(t, h.Queue, "c"); return states[0] == queue.Delivered })
	wantSound(t, h.Queue)
}

// taken reports whether a transaction has given a place to what is lent.
func taken(q *Queue, d queue.Delivery) bool {
	q.fresh.mu.Lock()
	defer q.fresh.mu.Unlock()
	l, _ := loanOf(d)
	return q.fresh.loans[l].memory.seq != 0
}

func waitUntil(t *testing.T, is func() bool) {
	t.Helper()
	for until := time.Now().Add(30 * time.Second); !is(); time.Sleep(time.Millisecond) {
		if time.Now().After(until) {
			t.Fatal("it did not come to be")
		}
	}
}

// While the file fails, events are delivered from memory: each once, whatever
// has become of it, and in the order of arrival.
func TestFreshWhileTheFileFails(t *testing.T) {
	t.Parallel()
	var failing atomic.Bool
	var failures atomic.Int64
	var q *Queue
	var lent, told queue.Delivery
	o := Options{Path: filepath.Join(t.TempDir(), "queue.db"), Settings: queue.DefaultSettings(), fault: func(stage string) error {
		if stage == beforeCommit && failing.Load() {
			if failures.Add(1) == 1 { // while the event has a place that it will not keep
				q.Settle(outcomeOf(told, queue.Delivered))
			}
			return errors.New("input/output error")
		}
		return nil
	}}
	q = mustOpen(t, o)
	waitForJournal(t, q)
	letGo := holdLoop(t, q)
	for _, id := range []string{"delivered", "lent", "told meanwhile", "released", "waiting"} {
		put(t, q, id, "ehr")
	}
	q.Settle(outcomeOf(lend(t, q, "ehr"), queue.Delivered))
	lent, told = lend(t, q, "ehr"), lend(t, q, "ehr")
	q.Release(lend(t, q, "ehr"))
	failing.Store(true)
	letGo()
	waitUntil(t, func() bool { return failures.Load() > 2 })
	for _, want := range []string{"released", "waiting"} {
		d := lend(t, q, "ehr")
		if d.EventID != want {
			t.Errorf("%s is lent, want %s", d.EventID, want)
		}
		wantLoaded(t, q, d)
		q.Settle(outcomeOf(d, queue.Delivered))
	}
	wantNone(t, q, "ehr")
	wantLoaded(t, q, lent)
	failing.Store(false)
	waitUntil(t, func() bool { return !q.journal.behind() })
	for _, id := range []string{"delivered", "told meanwhile", "released", "waiting"} {
		if states, r := statesOf(t, q, id); states[0] != queue.Delivered || r.HasPayload {
			t.Errorf("%+v, want it delivered", r)
		}
	}
	wantNone(t, q, "ehr")
	q.Settle(outcomeOf(lent, queue.Delivered))
	waitUntil(t, func() bool { states, _ := statesOf(t, q, "lent"); return states[0] == queue.Delivered })
	waitUntil(t, func() bool { return q.lanes.of("ehr").inFlight() == 0 })
	wantSound(t, q)
}

// Closing loses no outcome, not even one that comes during the last commit.
func TestFreshOutcomeWhileClosing(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "queue.db")
	h := openHeld(t, path, Options{})
	letGo := holdLoop(t, h.Queue)
	put(t, h.Queue, "before", "ehr")
	put(t, h.Queue, "during", "ehr")
	h.Settle(outcomeOf(lend(t, h.Queue, "ehr"), queue.Delivered))
	during := lend(t, h.Queue, "ehr")
	h.gate.Lock()
	letGo()
	waitUntil(t, func() bool { return taken(h.Queue, during) })
	h.Settle(outcomeOf(during, queue.Delivered))
	closed := make(chan error)
	go func() { closed <- h.Close() }()
	waitUntil(t, h.isClosed)
	h.gate.Unlock()
	if err := <-closed; err != nil {
		t.Fatal(err)
	}
	q := mustOpen(t, Options{Path: path, Settings: queue.DefaultSettings()})
	for _, id := range []string{"before", "during"} {
		if states, r := statesOf(t, q, id); states[0] != queue.Delivered {
			t.Errorf("%+v, want it delivered", r)
		}
	}
}

// What is purged while it is lent is gone, and its outcome changes nothing.
func TestFreshPurgedWhileLent(t *testing.T) {
	t.Parallel()
	h := openHeld(t, filepath.Join(t.TempDir(), "queue.db"), Options{})
	letGo := holdLoop(t, h.Queue)
	put(t, h.Queue, "a", "ehr")
	d := lend(t, h.Queue, "ehr")
	letGo()
	if n, err := h.Purge(t.Context(), queue.PurgeSelection{IDs: []string{"a"}, Force: true}); n != 1 || err != nil {
		t.Fatalf("Purge: %d, %v", n, err)
	}
	if _, err := h.Load(d); !errors.Is(err, queue.ErrNotFound) {
		t.Errorf("Load of what was purged: %v", err)
	}
	h.Settle(outcomeOf(d, queue.Dead))
	if _, err := h.Event(t.Context(), "a"); !errors.Is(err, queue.ErrNotFound) {
		t.Errorf("Event of what was purged: %v", err)
	}
	wantNone(t, h.Queue, "ehr")
	wantSound(t, h.Queue)
}

// Of two stores of one event at once, one is kept and delivered, once.
func TestFreshDuplicates(t *testing.T) {
	t.Parallel()
	h := openHeld(t, filepath.Join(t.TempDir(), "queue.db"), Options{})
	first, err := h.newStoring(t.Context(), queue.Item{Event: queuetest.Event("a", time.Unix(1773934200, 0)), Upstreams: []string{"ehr"}})
	if err != nil {
		t.Fatal(err)
	}
	h.intake.note(first) // it is unknown, and on its way
	second := make(chan error)
	go func() {
		r, err := h.Store(t.Context(), queue.Item{Event: queuetest.Event("a", time.Unix(1773934200, 0)), Upstreams: []string{"ehr"}})
		if err == nil && r.Duplicate {
			err = errors.New("it is a duplicate, and the other was not stored yet")
		}
		second <- err
	}()
	if err := <-second; err != nil {
		t.Fatal(err)
	}
	sealed, err := h.ring.Load().seal(queuetest.Event("a", time.Unix(1773934200, 0)))
	if err != nil {
		t.Fatal(err)
	}
	first.seal(sealed)
	if err := h.intake.store(first, true); err != nil {
		t.Fatal(err)
	}
	if a := <-first.answer; !a.duplicate || a.err != nil {
		t.Errorf("the later one is answered with %+v, want that it is a duplicate", a)
	}
	h.Settle(outcomeOf(lend(t, h.Queue, "ehr"), queue.Delivered))
	wantNone(t, h.Queue, "ehr")
	waitUntil(t, func() bool {
		s, err := h.Stats()
		return err == nil && s.Upstreams["ehr"].InFlight == 0
	})
	wantSound(t, h.Queue)
}

// What only the journal holds when the queue is opened is delivered, although the
// file cannot take it.
func TestFreshFromAJournalOfBefore(t *testing.T) {
	t.Parallel()
	h := openHeld(t, filepath.Join(t.TempDir(), "queue.db"), Options{})
	store(t, h.Queue, "in the file", "ehr")
	letGo := holdLoop(t, h.Queue)
	defer letGo()
	put(t, h.Queue, "delivered to one", "ehr", "lab")
	put(t, h.Queue, "waiting", "ehr")
	h.Settle(outcomeOf(lend(t, h.Queue, "lab"), queue.Delivered))
	h.Settle(outcomeOf(lend(t, h.Queue, "ehr"), queue.Delivered))
	outcomesJournaled(t, h.Queue, 2)

	var failing atomic.Bool
	failing.Store(true)
	q := mustOpen(t, Options{Path: h.killed(t), Settings: queue.DefaultSettings(), fault: func(stage string) error {
		if stage == beforeCommit && failing.Load() {
			return errors.New("no space left on device")
		}
		return nil
	}})
	for _, want := range []string{"in the file", "delivered to one", "waiting"} {
		d := lend(t, q, "ehr")
		if d.EventID != want {
			t.Errorf("%s is lent, want %s", d.EventID, want)
		}
		wantLoaded(t, q, d)
		q.Settle(outcomeOf(d, queue.Delivered))
	}
	wantNone(t, q, "ehr")
	wantNone(t, q, "lab")
	failing.Store(false)
	waitUntil(t, func() bool { return !q.journal.behind() })
	for _, id := range []string{"in the file", "delivered to one", "waiting"} {
		waitUntil(t, func() bool {
			states, _ := statesOf(t, q, id)
			return !slices.Contains(states, queue.Pending)
		})
	}
	wantSound(t, q)
}

// An attempt in vain is made again when it is due, although the file fails.
func TestFreshRetries(t *testing.T) {
	t.Parallel()
	var failing atomic.Bool
	q := mustOpen(t, Options{Path: filepath.Join(t.TempDir(), "queue.db"), Settings: queue.DefaultSettings(), fault: func(stage string) error {
		if stage == beforeCommit && failing.Load() {
			return errors.New("no space left on device")
		}
		return nil
	}})
	waitForJournal(t, q)
	letGo := holdLoop(t, q)
	put(t, q, "later", "ehr")
	put(t, q, "sooner", "ehr")
	put(t, q, "dead", "ehr")
	failing.Store(true)
	letGo()
	now := time.Now()
	for _, after := range []time.Duration{time.Hour, time.Minute} {
		o := outcomeOf(lend(t, q, "ehr"), queue.Pending)
		o.Next = now.Add(after)
		q.Settle(o)
	}
	q.Settle(outcomeOf(lend(t, q, "ehr"), queue.Dead))
	wantNone(t, q, "ehr")
	waitUntil(t, func() bool { // it is not to be had while it is tried to take it to the file
		c, err := q.Claim("ehr", now, queue.Want{First: 10, Retry: 10})
		return err == nil && len(c.Deliveries) == 0 && c.Next.Equal(now.Add(time.Minute))
	})
	var again []queue.Delivery
	waitUntil(t, func() bool {
		c, err := q.Claim("ehr", now.Add(2*time.Hour), queue.Want{Retry: 1})
		if err != nil {
			t.Fatal(err)
		}
		again = append(again, c.Deliveries...)
		return len(again) == 2
	})
	for i, want := range []string{"sooner", "later"} {
		if d := again[i]; d.EventID != want || d.Attempts != 1 || d.Used != 1 {
			t.Errorf("%+v is lent, want %s at its second attempt", d, want)
		}
	}
	q.Release(again[0])
	waitUntil(t, func() bool {
		c, err := q.Claim("ehr", now.Add(2*time.Hour), queue.Want{First: 10, Retry: 10})
		return err == nil && len(c.Deliveries) == 1 && c.Deliveries[0] == again[0]
	})
	for _, d := range again {
		q.Settle(outcomeOf(d, queue.Delivered))
	}
	failing.Store(false)
	waitUntil(t, func() bool { return !q.journal.behind() })
	for _, id := range []string{"sooner", "later"} {
		waitUntil(t, func() bool { states, _ := statesOf(t, q, id); return states[0] == queue.Delivered })
		if _, r := statesOf(t, q, id); r.HasPayload || r.Deliveries[0].Attempts != 2 || len(r.Deliveries[0].History) != 2 {
			t.Errorf("%+v, want it delivered at the second attempt", r)
		}
	}
	if states, _ := statesOf(t, q, "dead"); states[0] != queue.Dead {
		t.Errorf("it is %v, want it dead", states)
	}
	wantSound(t, q)
}

// What was delivered from memory takes up room in the file too, and none of what
// is kept back for outcomes.
func TestFreshTakesUpRoom(t *testing.T) {
	t.Parallel()
	var full atomic.Bool
	var refused atomic.Int64
	q := mustOpen(t, Options{Path: filepath.Join(t.TempDir(), "queue.db"), Settings: queue.DefaultSettings(), fault: func(stage string) error {
		if stage == beforeReserve && full.Load() {
			refused.Add(1)
			return errors.New("no space left on device")
		}
		return nil
	}})
	waitForJournal(t, q)
	letGo := holdLoop(t, q)
	put(t, q, "a", "ehr")
	q.Settle(outcomeOf(lend(t, q, "ehr"), queue.Delivered))
	full.Store(true)
	letGo()
	waitUntil(t, func() bool { return refused.Load() > 1 })
	if !q.journal.behind() {
		t.Error("the event is in the file, for which there is no room")
	}
	full.Store(false)
	waitUntil(t, func() bool { return !q.journal.behind() })
	if states, _ := statesOf(t, q, "a"); states[0] != queue.Delivered {
		t.Errorf("it is %v, want it delivered", states)
	}
}
