package policy

import (
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/scribegate/scribegate/forwarder/queue"
	"github.com/scribegate/scribegate/forwarder/seal"
	"github.com/scribegate/scribegate/verifier/event"
)

const (
	received = int64(1_773_934_200_000_000_000)
	began    = received + int64(time.Second)
	later    = received + int64(time.Minute)
)

var aKey = seal.Fingerprint{1, 2, 3}

// inState returns an event with the deliveries, one second after receipt, with its
// payload unless that was dropped.
func inState(keep time.Duration, ds ...Delivery) *Event {
	e := &Event{ID: "a", Provider: "soapnoteapi", Type: "note.generated", Subject: "s", ReceivedAt: received, Size: 100, Key: aKey, Deliveries: ds}
	if len(ds) > 0 {
		e.end(began, keep)
	}
	return e
}

// The deliveries of the test tables: one for each state of a delivery.
func first(name string) Delivery { return Delivery{Upstream: name, State: queue.Pending} }

func retry(name string) Delivery {
	return Delivery{Upstream: name, State: queue.Pending, Attempts: 2, Used: 1, Due: began, History: attempts(1, 2)}
}

func done(name string) Delivery {
	return Delivery{Upstream: name, State: queue.Delivered, Attempts: 1, Used: 1, History: attempts(1)}
}

func dead(name string) Delivery {
	return Delivery{Upstream: name, State: queue.Dead, Attempts: 1, Used: 1, History: attempts(1)}
}

// attempts returns a history of attempts with the numbers.
func attempts(numbers ...int) (h []queue.Attempt) {
	for _, n := range numbers {
		h = append(h, queue.Attempt{Number: n, At: Time(received), Duration: time.Second, Result: queue.Timeout, Used: true})
	}
	return h
}

func setAside(s queue.State) *Event {
	e := inState(0)
	e.SetAside, e.EndedAt = s, began
	if s == queue.Quarantined {
		e.Reason = "created_at is missing"
	}
	return e
}

func TestNew(t *testing.T) {
	t.Parallel()
	it := func(s queue.State, upstreams ...string) queue.Item {
		return queue.Item{Event: &event.Event{ID: "a", Provider: "soapnoteapi", Type: "com.soapnoteapi.note.generated", Subject: "s", ReceivedAt: Time(received)}, State: s, Upstreams: upstreams}
	}
	for name, c := range map[string]struct {
		item    queue.Item
		keeps   bool
		state   queue.State
		ups     []string
		endedAt int64
	}{
		"for two":              {it("", "ehr", "lab"), true, queue.Pending, []string{"ehr", "lab"}, 0},
		"for one, twice":       {it("", "ehr", "ehr"), true, queue.Pending, []string{"ehr"}, 0},
		"without upstreams":    {it(""), false, queue.Delivered, nil, began},
		"unrouted":             {it(queue.Unrouted), true, queue.Unrouted, nil, began},
		"unconfirmed, for one": {it(queue.Unconfirmed, "ehr"), true, queue.Unconfirmed, nil, began},
		"quarantined":          {it(queue.Quarantined), true, queue.Quarantined, nil, began},
	} {
		e := New(c.item, aKey, 100, began)
		if e.ID != "a" || e.Provider != "soapnoteapi" || e.Type != "note.generated" || e.Subject != "s" || e.ReceivedAt != received || e.Size != 100 || e.Key != aKey {
			t.Errorf("%s: %+v", name, e)
		}
		var ups []string
		for _, d := range e.Deliveries {
			ups = append(ups, d.Upstream)
			if !d.First() {
				t.Errorf("%s: %+v is not a first delivery", name, d)
			}
		}
		if KeepsPayload(c.item) != c.keeps || e.State() != c.state || !slices.Equal(ups, c.ups) || e.EndedAt != c.endedAt {
			t.Errorf("%s: state %s, for %q, ended at %d", name, e.State(), ups, e.EndedAt)
		}
	}
}

func TestState(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		event *Event
		state queue.State
		// The states for which Matches returns true.
		matches []queue.State
	}{
		"first":             {inState(0, first("a")), queue.Pending, []queue.State{queue.Pending}},
		"retry":             {inState(0, retry("a")), queue.Pending, []queue.State{queue.Pending}},
		"done":              {inState(0, done("a")), queue.Delivered, []queue.State{queue.Delivered}},
		"dead":              {inState(0, dead("a")), queue.Dead, []queue.State{queue.Dead}},
		"done, retry":       {inState(0, done("a"), retry("b")), queue.Pending, []queue.State{queue.Pending, queue.Delivered}},
		"done, dead":        {inState(0, done("a"), dead("b")), queue.Dead, []queue.State{queue.Delivered, queue.Dead}},
		"first, dead, done": {inState(0, first("a"), dead("b"), done("c")), queue.Dead, []queue.State{queue.Pending, queue.Delivered, queue.Dead}},
		"without upstreams": {inState(0), queue.Delivered, []queue.State{queue.Delivered}},
		"unrouted":          {setAside(queue.Unrouted), queue.Unrouted, []queue.State{queue.Unrouted}},
		"unconfirmed":       {setAside(queue.Unconfirmed), queue.Unconfirmed, []queue.State{queue.Unconfirmed}},
		"quarantined":       {setAside(queue.Quarantined), queue.Quarantined, []queue.State{queue.Quarantined}},
		"tombstone":         {setAside(Tombstone), Tombstone, nil},
	} {
		if got := c.event.State(); got != c.state {
			t.Errorf("%s: state %s", name, got)
		}
		if got, want := c.event.Pending(), slices.Contains(c.matches, queue.Pending); got != want {
			t.Errorf("%s: pending %t", name, got)
		}
		for _, s := range queue.States {
			if got, want := c.event.Matches(s, ""), slices.Contains(c.matches, s); got != want {
				t.Errorf("%s: matches %s: %t", name, s, got)
			}
		}
		r := c.event.Record()
		if r.State != c.state || r.ID != "a" || r.ReceivedAt.UnixNano() != received || r.HasPayload != (c.event.Size > 0) || len(r.Deliveries) != len(c.event.Deliveries) || r.Reason != c.event.Reason {
			t.Errorf("%s: record %+v", name, r)
		}
		for i, d := range r.Deliveries {
			if have := c.event.Deliveries[i]; d.State != have.State || d.NextAttempt.IsZero() == (have.Due > 0) || d.Attempts != have.Attempts || d.Used != have.Used {
				t.Errorf("%s: record %+v", name, d)
			}
		}
	}
}

// A state and an upstream together match only events with one delivery that matches
// both.
func TestMatchesUpstream(t *testing.T) {
	t.Parallel()
	e := inState(0, done("a"), dead("b"))
	for _, c := range []struct {
		state    queue.State
		upstream string
		want     bool
	}{
		{"", "", true},
		{"", "a", true},
		{"", "b", true},
		{"", "c", false},
		{queue.Delivered, "a", true},
		{queue.Delivered, "b", false},
		{queue.Dead, "b", true},
		{queue.Dead, "a", false},
		{queue.Dead, "c", false},
	} {
		if got := e.Matches(c.state, c.upstream); got != c.want {
			t.Errorf("%q, %q: %t", c.state, c.upstream, got)
		}
	}
	if inState(0).Matches(queue.Delivered, "a") || setAside(queue.Unrouted).Matches(queue.Unrouted, "a") {
		t.Error("an event without deliveries matches upstream a")
	}
}

// A change of an event does not change its clone.
func TestClone(t *testing.T) {
	t.Parallel()
	fresh := func() *Event { return inState(0, first("a"), retry("b"), dead("c"), done("d")) }
	e := fresh()
	e.Deliveries[1].History = slices.Grow(e.Deliveries[1].History, 10)
	c := e.Clone()
	for _, name := range []string{"a", "b"} {
		c.Settle(&queue.Outcome{Delivery: queue.Delivery{EventID: "a", Upstream: name}, State: queue.Delivered}, later, 0)
	}
	c.Replay(nil, func(*Delivery) bool { return true })
	c.Drop(later, 0, func(d *Delivery) bool { return d.Upstream == "c" })
	if !reflect.DeepEqual(e, fresh()) {
		t.Errorf("the event changed with its clone: %+v", e)
	}
}
