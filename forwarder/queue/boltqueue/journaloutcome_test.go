package boltqueue

import (
	"errors"
	"path/filepath"
	"testing"
	"time"

	"github.com/scribegate/scribegate/forwarder/queue"
)

// outcomesJournaled waits until the journal has so many outcomes that the file has not.
func outcomesJournaled(t *testing.T, q *Queue, n int) {
	t.Helper()
	waitUntil(t, func() bool {
		q.journal.mu.Lock()
		defer q.journal.mu.Unlock()
		found := 0
		for _, k := range q.journal.kept {
			if _, ok := k.(*settling); ok {
				found++
			}
		}
		return found == n
	})
}

// What came of an event is not forgotten where the process is killed before it is
// in the file, be the event there or not.
func TestJournalKeepsOutcomes(t *testing.T) {
	t.Parallel()
	h := openHeld(t, filepath.Join(t.TempDir(), "queue.db"), Options{})
	for _, id := range []string{"delivered", "dead", "waiting"} {
		store(t, h.Queue, id+" in the file", "ehr", "lab")
	}
	letGo := holdLoop(t, h.Queue)
	defer letGo()
	for _, id := range []string{"delivered", "dead", "waiting"} {
		put(t, h.Queue, id+" in the journal", "ehr", "lab")
	}
	next := time.Now().Add(time.Hour).Truncate(0).UTC()
	outcomes := 0
	for range 6 {
		for _, u := range []string{"ehr", "lab"} {
			d := lend(t, h.Queue, u)
			var o queue.Outcome
			switch d.EventID[:4] {
			case "deli":
				o = outcomeOf(d, queue.Delivered)
			case "dead":
				o = outcomeOf(d, queue.Dead)
			case "wait":
				o = outcomeOf(d, queue.Pending)
				o.Next = next
			}
			h.Settle(o)
			outcomes++
		}
	}
	outcomesJournaled(t, h.Queue, outcomes)

	q := mustOpen(t, Options{Path: h.killed(t), Settings: queue.DefaultSettings()})
	for _, u := range []string{"ehr", "lab"} {
		wantNone(t, q, u)
	}
	for _, where := range []string{" in the file", " in the journal"} {
		for id, want := range map[string]queue.State{"delivered": queue.Delivered, "dead": queue.Dead, "waiting": queue.Pending} {
			_, r := statesOf(t, q, id+where)
			if r.HasPayload != (want != queue.Delivered) {
				t.Errorf("%s%s has its payload: %v", id, where, r.HasPayload)
			}
			for _, d := range r.Deliveries {
				if d.State != want || d.Attempts != 1 || d.Used != 1 || len(d.History) != 1 {
					t.Errorf("%s%s: %+v, want %s", id, where, d, want)
				}
				if want == queue.Pending && !d.NextAttempt.Equal(next) {
					t.Errorf("%s%s is tried again at %v, want %v", id, where, d.NextAttempt, next)
				}
			}
		}
	}
	wantSound(t, q)
	if q.journal.behind() {
		t.Error("the file is behind the journal")
	}
}

// An outcome that is in the journal is in the file once: what was replayed since
// is delivered again.
func TestJournalOutcomesAreOld(t *testing.T) {
	t.Parallel()
	began := time.Unix(1773934200, 0)
	r := func() *record {
		return &record{id: "a", receivedAt: 5, deliveries: []delivery{{upstream: "ehr", state: queue.Pending, attempts: 2, history: []queue.Attempt{{Number: 2, At: began}}}}}
	}
	o := func() *queue.Outcome {
		return &queue.Outcome{Delivery: queue.Delivery{EventID: "a", Upstream: "ehr", ReceivedAt: at(5), Attempts: 2}, At: began.Add(time.Second)}
	}
	if r().expecting(o()) == nil {
		t.Error("the next outcome is not expected")
	}
	for name, change := range map[string]func(r *record, o *queue.Outcome){
		"of another upstream":    func(_ *record, o *queue.Outcome) { o.Delivery.Upstream = "lab" },
		"of another event":       func(r *record, _ *queue.Outcome) { r.receivedAt++ },
		"of an earlier attempt":  func(_ *record, o *queue.Outcome) { o.Delivery.Attempts-- },
		"of a later attempt":     func(_ *record, o *queue.Outcome) { o.Delivery.Attempts++ },
		"of what was delivered":  func(r *record, _ *queue.Outcome) { r.deliveries[0].state = queue.Delivered },
		"that is in its history": func(_ *record, o *queue.Outcome) { o.At = began },
		"of what was replayed":   func(r *record, _ *queue.Outcome) { r.deliveries[0].attempts = 0 },
		"of before it was replayed": func(r *record, o *queue.Outcome) {
			r.deliveries[0].attempts, o.Delivery.Attempts, o.At = 0, 0, began
		},
	} {
		r, o := r(), o()
		change(r, o)
		if r.expecting(o) != nil {
			t.Errorf("an outcome %s is expected", name)
		}
	}
}

// The journal tells of an outcome what the file would.
func TestOutcomeEntry(t *testing.T) {
	t.Parallel()
	d := queue.Delivery{EventID: "a", Provider: "soniox", Type: "transcription.completed", Upstream: "ehr", ReceivedAt: at(5), Attempts: 3}
	for name, want := range map[string]queue.Outcome{
		"delivered": {Delivery: d, At: at(7), Duration: time.Second, Status: 204, Result: queue.Success, Used: true, State: queue.Delivered},
		"dead":      {Delivery: d, At: at(7), Result: queue.Gone, Status: 410, Used: true, State: queue.Dead},
		"waiting":   {Delivery: d, At: at(7), Result: queue.Failure, Status: 429, State: queue.Pending, Next: at(9)},
	} {
		b := (&settling{outcome: want}).appendEntry(nil, 12)
		e, size := parseEntry(b)
		if e == nil || e.number != 12 || size != len(b) {
			t.Fatalf("%s: %+v of %d bytes", name, e, size)
		}
		if got, ok := e.outcome(); !ok || got != want {
			t.Errorf("%s: %+v, want %+v", name, got, want)
		}
	}
	event, _ := entryOf(1, 300)
	if o, ok := event.outcome(); ok {
		t.Errorf("an event is taken for %+v", o)
	}
}

// Outcomes of one event follow each other, and others find it in the file.
func TestRecall(t *testing.T) {
	t.Parallel()
	event, _ := entryOf(1, 300)
	entry := func(number uint64, o queue.Outcome) journalEntry {
		e, _ := parseEntry((&settling{outcome: o}).appendEntry(nil, number))
		return *e
	}
	d := queue.Delivery{EventID: event.record.id, Upstream: "ehr", ReceivedAt: at(5)}
	again := d
	again.Attempts = 1
	elsewhere := d
	elsewhere.EventID = "elsewhere"
	events, outcomes := recall([]journalEntry{
		event,
		entry(2, queue.Outcome{Delivery: d, At: at(6), State: queue.Pending, Next: at(7), Result: queue.Failure}),
		entry(3, queue.Outcome{Delivery: elsewhere, At: at(6), State: queue.Dead, Result: queue.Gone}),
		entry(4, queue.Outcome{Delivery: again, At: at(8), State: queue.Delivered, Result: queue.Success}),
	})
	if len(events) != 1 || len(outcomes) != 3 {
		t.Fatalf("%d events and %d outcomes", len(events), len(outcomes))
	}
	if d := events[0].record.delivery("ehr"); d.state != queue.Delivered || d.attempts != 2 || len(d.history) != 2 {
		t.Errorf("%+v, want it delivered at the second attempt", d)
	}
}

// An outcome that cannot be taken to the file is not waited for.
func TestJournalGivesUpOutcomes(t *testing.T) {
	t.Parallel()
	h := openHeld(t, filepath.Join(t.TempDir(), "queue.db"), Options{})
	s := &settling{outcome: queue.Outcome{Delivery: queue.Delivery{EventID: "a", Upstream: "ehr"}, State: queue.Dead}}
	h.journal.note(s)
	outcomesJournaled(t, h.Queue, 1)
	if !h.journal.behind() {
		t.Error("nothing is waited for")
	}
	h.giveUp(s, errors.New("a page cannot be read"))
	if h.journal.behind() {
		t.Error("it is waited for")
	}
}
