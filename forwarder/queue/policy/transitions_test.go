package policy

import (
	"fmt"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/scribegate/scribegate/forwarder/queue"
)

// The changes that TestTransitions applies to the delivery to "a".
var changes = map[string]func(e *Event, keep time.Duration) bool{
	"settle pending":   settle(queue.Pending),
	"settle delivered": settle(queue.Delivered),
	"settle dead":      settle(queue.Dead),
	"replay": func(e *Event, _ time.Duration) bool {
		return e.Replay(nil, func(d *Delivery) bool { return d.Upstream == "a" }) == 1
	},
	"drop": func(e *Event, keep time.Duration) bool {
		return e.Drop(later, keep, func(d *Delivery) bool { return d.Upstream == "a" }) == 1
	},
}

func settle(s queue.State) func(*Event, time.Duration) bool {
	return func(e *Event, keep time.Duration) bool {
		o := queue.Outcome{
			Delivery: queue.Delivery{EventID: "a", Upstream: "a"}, At: Time(later).Add(-time.Second), Duration: 100 * time.Millisecond,
			Status: 500, Result: queue.Failure, Used: true, State: s, Next: Time(later).Add(time.Minute),
		}
		return e.Settle(&o, later, keep)
	}
}

// TestTransitions applies each change to a delivery in each state, with a second
// delivery in each state, and with and without keeping payloads after the last
// delivery.
func TestTransitions(t *testing.T) {
	t.Parallel()
	states := map[string]func(string) Delivery{"first": first, "retry": retry, "done": done, "dead": dead, "none": nil}
	// The resulting state for each change of each state; "same" if nothing changes.
	to := map[string]map[string]string{
		"settle pending":   {"first": "retry", "retry": "retry", "done": "same", "dead": "same"},
		"settle delivered": {"first": "done", "retry": "done", "done": "same", "dead": "same"},
		"settle dead":      {"first": "dead", "retry": "dead", "done": "same", "dead": "same"},
		"replay":           {"first": "first", "retry": "first", "done": "first", "dead": "first"},
		"drop":             {"first": "none", "retry": "none", "done": "none", "dead": "none"},
	}
	for change, apply := range changes {
		for from, target := range to[change] {
			for beside, other := range states {
				for _, keep := range []time.Duration{0, time.Hour} {
					ds := []Delivery{states[from]("a")}
					if other != nil {
						ds = append(ds, other("b"))
					}
					e := inState(keep, ds...)
					before := e.Clone()
					changed := apply(e, keep)
					name := fmt.Sprintf("%s of %s, other %s, keep %v", change, from, beside, keep)
					if changed != (target != "same") {
						t.Errorf("%s: changed %t", name, changed)
					}
					if !changed {
						if !reflect.DeepEqual(e, before) {
							t.Errorf("%s: it is %+v", name, e)
						}
						continue
					}
					checkDelivery(t, name, before, e, target, change != "replay")
					checkEnd(t, name, before, e, keep)
				}
			}
		}
	}
}

// checkDelivery checks the delivery to "a", and that the other delivery is unchanged.
func checkDelivery(t *testing.T, name string, before, e *Event, target string, settled bool) {
	t.Helper()
	was, d := before.Delivery("a"), e.Delivery("a")
	if b := before.Delivery("b"); !reflect.DeepEqual(b, e.Delivery("b")) {
		t.Errorf("%s: the other delivery is now %+v", name, e.Delivery("b"))
	}
	if target == "none" {
		if d != nil {
			t.Errorf("%s: it is %+v", name, d)
		}
		return
	}
	if d == nil {
		t.Fatalf("%s: the delivery is missing", name)
	}
	want := Delivery{Upstream: "a", State: map[string]queue.State{"first": queue.Pending, "retry": queue.Pending, "done": queue.Delivered, "dead": queue.Dead}[target], History: was.History}
	if settled {
		want.Attempts, want.Used = was.Attempts+1, was.Used+1
		want.History = append(slices.Clone(was.History), queue.Attempt{
			Number: was.Attempts + 1, At: Time(later).Add(-time.Second), Duration: 100 * time.Millisecond, Result: queue.Failure, Status: 500, Used: true,
		})
		if got := d.LastEnded(); !got.Equal(Time(later).Add(-900 * time.Millisecond)) {
			t.Errorf("%s: the last attempt ended at %v", name, got)
		}
	} else if !d.LastEnded().IsZero() {
		t.Errorf("%s: an attempt before the replay counts", name)
	}
	if target == "retry" {
		want.Due = later + int64(time.Minute)
	}
	if !reflect.DeepEqual(*d, want) || d.First() != (target == "first") {
		t.Errorf("%s: it is %+v, want %+v", name, *d, want)
	}
}

// checkEnd checks the end of the event and its payload.
func checkEnd(t *testing.T, name string, before, e *Event, keep time.Duration) {
	t.Helper()
	var endedAt int64
	payload := before.Size > 0
	switch {
	case len(e.Deliveries) == 0: // the caller deletes the event
		endedAt = before.EndedAt
	case !e.Pending():
		endedAt = later
		payload = payload && (e.State() == queue.Dead || keep > 0)
	}
	size, key := int64(0), e.Key
	if payload {
		size, key = 100, aKey
	}
	if e.EndedAt != endedAt || e.Size != size || e.Key != key || !payload && e.Key != [8]byte{} {
		t.Errorf("%s: ended at %d, want %d; %d bytes by key %v, want %d", name, e.EndedAt, endedAt, e.Size, e.Key, size)
	}
}

// An outcome changes nothing if its event or its delivery does not exist.
func TestSettleOfAnother(t *testing.T) {
	t.Parallel()
	for _, d := range []queue.Delivery{{EventID: "b", Upstream: "a"}, {EventID: "a", Upstream: "b"}} {
		e := inState(0, first("a"))
		if e.Settle(&queue.Outcome{Delivery: d, State: queue.Delivered}, later, 0) || !reflect.DeepEqual(e, inState(0, first("a"))) {
			t.Errorf("an outcome of %+v changed %+v", d, e)
		}
	}
}

// A retry without a time, or with one before 1970, is due at once, and does not count
// as a first attempt.
func TestDue(t *testing.T) {
	t.Parallel()
	for _, next := range []time.Time{{}, time.Unix(0, 0), time.Unix(-1, 0), time.Date(1, 1, 1, 0, 0, 0, 1, time.UTC)} {
		e := inState(0, first("a"))
		e.Settle(&queue.Outcome{Delivery: queue.Delivery{EventID: "a", Upstream: "a"}, State: queue.Pending, Next: next}, later, 0)
		if d := e.Delivery("a"); d.Due != 1 || d.First() {
			t.Errorf("%v: %+v", next, d)
		}
	}
}

// The history keeps the newest attempts. A replay restarts the attempt numbers and
// keeps the history.
func TestHistoryIsBounded(t *testing.T) {
	t.Parallel()
	e := inState(0, first("a"))
	d := &e.Deliveries[0]
	var older []queue.Attempt
	for i := range 2*queue.MaxHistory + 10 {
		if i == queue.MaxHistory+20 {
			e.Replay(nil, func(*Delivery) bool { return true })
			if d.Attempts != 0 || d.Used != 0 || len(d.History) != queue.MaxHistory {
				t.Fatalf("after the replay: %+v", d)
			}
		}
		older = d.History
		kept := slices.Clone(older)
		if !settle(queue.Pending)(e, 0) {
			t.Fatal("Settle returned false")
		}
		if !reflect.DeepEqual(older, kept) {
			t.Fatal("Settle changed a shared history")
		}
	}
	if len(d.History) != queue.MaxHistory || d.Attempts != queue.MaxHistory-10 {
		t.Errorf("%d in the history, %d attempts", len(d.History), d.Attempts)
	}
	for i, a := range d.History {
		want := i - 9 // ten are from before the replay
		if want < 1 {
			want += queue.MaxHistory + 20
		}
		if a.Number != want {
			t.Errorf("attempt %d has number %d, want %d", i, a.Number, want)
		}
	}
}

// A replay turns an unrouted or unconfirmed event into an ordinary one, if it has
// upstreams.
func TestReplayOfSetAside(t *testing.T) {
	t.Parallel()
	for _, s := range []queue.State{queue.Quarantined, queue.Unrouted, queue.Unconfirmed, Tombstone} {
		e := setAside(s)
		if n := e.Replay(nil, nil); n != 0 || !reflect.DeepEqual(e, setAside(s)) {
			t.Errorf("%s, without upstreams: %d, %+v", s, n, e)
		}
		n := e.Replay([]string{"a", "b"}, nil)
		switch s {
		case queue.Unrouted, queue.Unconfirmed:
			if n != 2 || e.State() != queue.Pending || e.EndedAt != 0 || e.Size != 100 || !e.Deliveries[0].First() || !e.Deliveries[1].First() {
				t.Errorf("%s: %d, %+v", s, n, e)
			}
		default:
			if n != 0 || !reflect.DeepEqual(e, setAside(s)) {
				t.Errorf("%s: %d, %+v", s, n, e)
			}
		}
	}
}

// Only selected deliveries are replayed or dropped.
func TestSelected(t *testing.T) {
	t.Parallel()
	e := inState(0, dead("a"), dead("b"), done("c"))
	isDead := func(d *Delivery) bool { return d.State == queue.Dead && d.Upstream != "b" }
	if n := e.Replay(nil, isDead); n != 1 || !e.Deliveries[0].First() || e.Deliveries[1].State != queue.Dead || e.EndedAt != 0 {
		t.Errorf("replayed %d: %+v", n, e)
	}
	e = inState(0, dead("a"), dead("b"), done("c"))
	none := func(*Delivery) bool { return false }
	if e.Replay(nil, none) != 0 || e.Drop(later, 0, none) != 0 || e.EndedAt != began {
		t.Errorf("%+v", e)
	}
	if n := e.Drop(later, 0, isDead); n != 1 || len(e.Deliveries) != 2 || e.EndedAt != later || e.Size != 100 {
		t.Errorf("dropped %d: %+v", n, e)
	}
}
