package policy

import (
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/scribegate/scribegate/forwarder/queue"
	"github.com/scribegate/scribegate/verifier/event"
)

var (
	completion = queue.Completion("soniox", "https://soniox.com")
	cleanup    = queue.Cleanup("soniox", "https://soniox.com")
)

// blocked returns the names of the blocked deliveries.
func blocked(e *Event) (names []string) {
	for _, d := range e.Deliveries {
		if d.Blocked {
			names = append(names, d.Upstream)
		}
	}
	slices.Sort(names)
	return names
}

// Gate blocks in every combination of states, whatever was blocked before.
func TestGate(t *testing.T) {
	t.Parallel()
	states := map[string]func(string) Delivery{"none": nil, "first": first, "retry": retry, "done": done, "dead": dead}
	for a, upA := range states {
		for b, upB := range states {
			for c, of := range states {
				for x, after := range states {
					for _, was := range []bool{false, true} {
						if upA == nil && upB == nil {
							continue
						}
						e := &Event{ID: "a"}
						add := func(name string, f func(string) Delivery) {
							if f != nil {
								d := f(name)
								d.Blocked = was
								e.Deliveries = append(e.Deliveries, d)
							}
						}
						add("a", upA)
						add("b", upB)
						add(completion, of)
						add(cleanup, after)
						e.Gate()
						pending := func(s string) bool { return s == "first" || s == "retry" }
						var want []string
						for name, s := range map[string]string{"a": a, "b": b} {
							if pending(s) && pending(c) {
								want = append(want, name)
							}
						}
						if pending(c) && !pending(a) && !pending(b) {
							want = append(want, completion)
						}
						ended := func(s string) bool { return s == "none" || s == "done" }
						if pending(x) && (!ended(a) || !ended(b)) {
							want = append(want, cleanup)
						}
						slices.Sort(want)
						if got := blocked(e); !slices.Equal(got, want) {
							t.Errorf("upstreams %s and %s, completion %s, cleanup %s: %q are blocked, want %q", a, b, c, x, got, want)
						}
						for _, d := range e.Deliveries {
							if d.Blocked && d.First() {
								t.Errorf("%+v is blocked and a first delivery", d)
							}
						}
					}
				}
			}
		}
	}
}

// Stages count neither for the state of an event nor for its payload or its end.
func TestStagesDoNotCount(t *testing.T) {
	t.Parallel()
	for _, stage := range []func(string) Delivery{first, retry, done, dead} {
		for s, up := range map[queue.State]func(string) Delivery{queue.Pending: first, queue.Delivered: done, queue.Dead: dead} {
			e := inState(0, up("a"), stage(cleanup))
			if e.State() != s || e.Pending() != (s == queue.Pending) || e.Matches(s, cleanup) || e.EndedAt > 0 != (s != queue.Pending) || e.Size > 0 != (s != queue.Delivered) {
				t.Errorf("%s: %+v", s, e)
			}
			for _, other := range queue.States {
				if e.Matches(other, "") != (other == s) {
					t.Errorf("%s: matches %s", s, other)
				}
			}
			if r := e.Record(); len(r.Deliveries) != 1 || len(r.Stages) != 1 || r.Stages[0].Upstream != cleanup || r.State != s {
				t.Errorf("%s: record %+v", s, r)
			}
			before := e.Clone()
			e.Settle(&queue.Outcome{Delivery: queue.Delivery{EventID: "a", Upstream: cleanup}, State: queue.Delivered}, later, 0)
			if e.EndedAt != before.EndedAt || e.Size != before.Size {
				t.Errorf("%s: the end of the cleanup changed %+v to %+v", s, before, e)
			}
		}
	}
	if e := New(queue.Item{Event: &event.Event{ID: "a"}, Upstreams: []string{completion}}, aKey, 0, began); e.State() != queue.Delivered || len(e.Deliveries) > 0 || e.EndedAt != began {
		t.Errorf("%+v", e)
	}
	if KeepsPayload(queue.Item{Event: &event.Event{ID: "a"}, Upstreams: []string{completion, cleanup}}) {
		t.Error("the payload of an event without upstream is kept")
	}
}

// The completion's outcomes.
func TestSettleCompletion(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		outcome queue.Outcome
		state   queue.State
		left    []string // of the deliveries
		blocked []string
	}{
		"pending":     {queue.Outcome{State: queue.Pending}, queue.Pending, []string{"a", "b", completion, cleanup}, []string{cleanup, "a", "b"}},
		"delivered":   {queue.Outcome{State: queue.Delivered}, queue.Pending, []string{"a", "b", completion, cleanup}, []string{cleanup}},
		"retain":      {queue.Outcome{State: queue.Delivered, Retain: true}, queue.Pending, []string{"a", "b", completion}, nil},
		"unconfirmed": {queue.Outcome{State: queue.Unconfirmed, Reason: "r"}, queue.Unconfirmed, nil, nil},
	} {
		e := inState(0, first("a"), retry("b"), first(completion), first(cleanup))
		c.outcome.Delivery = queue.Delivery{EventID: "a", Upstream: completion}
		if !e.Settle(&c.outcome, later, 0) {
			t.Fatalf("%s: not settled", name)
		}
		var names []string
		for _, d := range e.Deliveries {
			names = append(names, d.Upstream)
		}
		if e.State() != c.state || e.Reason != c.outcome.Reason || !slices.Equal(names, c.left) || !slices.Equal(blocked(e), c.blocked) || e.Size != 100 || e.EndedAt > 0 != (c.state == queue.Unconfirmed) {
			t.Errorf("%s: %+v", name, e)
		}
		if e.Settle(&c.outcome, later, 0) != (c.outcome.State == queue.Pending) {
			t.Errorf("%s: settled twice", name)
		}
	}
}

func TestReroute(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		event   *Event
		route   []string
		changed bool
	}{
		"waiting, in the route":     {inState(0, first("a"), retry(completion), first(cleanup)), []string{"a", completion}, false},
		"waiting, not in the route": {inState(0, first("a"), retry(completion), first(cleanup)), []string{"a", cleanup}, true},
		"waiting, without a route":  {inState(0, first("a"), retry(completion), first(cleanup)), nil, false},
		"waiting, stages only":      {inState(0, first("a"), retry(completion), first(cleanup)), []string{cleanup}, false},
		"completed":                 {inState(0, first("a"), done(completion), first(cleanup)), nil, false},
		"without stages":            {inState(0, first("a")), nil, false},
	} {
		before := c.event.Clone()
		if got := c.event.Reroute(c.route); got != c.changed {
			t.Errorf("%s: changed %t", name, got)
		}
		switch {
		case !c.changed && !reflect.DeepEqual(c.event, before):
			t.Errorf("%s: %+v", name, c.event)
		case c.changed && (len(c.event.Deliveries) != 1 || !c.event.Deliveries[0].First()):
			t.Errorf("%s: %+v", name, c.event)
		}
	}
}

func TestRestrict(t *testing.T) {
	t.Parallel()
	all := []string{"a", "b", completion, cleanup}
	for _, c := range []struct{ route, upstreams, want []string }{
		{all, nil, all},
		{all, []string{"b", "a", "c"}, all},
		{all, []string{"a"}, []string{"a", completion}},
		{all, []string{"c"}, nil},
		{all, []string{}, nil},
		{[]string{completion, cleanup}, nil, nil},
		{nil, nil, nil},
	} {
		if got := Restrict(c.route, c.upstreams); !slices.Equal(got, c.want) {
			t.Errorf("%q restricted to %q is %q, want %q", c.route, c.upstreams, got, c.want)
		}
	}
	if !slices.Equal(all, []string{"a", "b", completion, cleanup}) {
		t.Errorf("the route was changed to %q", all)
	}
}

// A replay and a purge never select a stage, and never leave stages alone.
func TestReplayAndDropWithStages(t *testing.T) {
	t.Parallel()
	every := func(*Delivery) bool { return true }
	e := inState(time.Hour, done("a"), done(completion), dead(cleanup))
	if n := e.Replay(nil, every); n != 1 || e.Delivery(cleanup).State != queue.Dead || e.Delivery(completion).State != queue.Delivered {
		t.Errorf("replayed %d: %+v", n, e)
	}
	e = inState(0, first("a"), retry(completion), first(cleanup))
	if n := e.Replay(nil, every); n != 1 || e.Delivery(completion).Attempts != 0 || len(blocked(e)) != 2 || len(e.Delivery(completion).History) != 2 {
		t.Errorf("replayed %d: %+v", n, e)
	}
	if n := e.Replay(nil, func(d *Delivery) bool { return queue.IsStage(d.Upstream) }); n != 0 {
		t.Errorf("replayed %d: %+v", n, e)
	}
	if n := e.Drop(later, 0, every); n != 1 || len(e.Deliveries) != 0 {
		t.Errorf("dropped %d: %+v", n, e)
	}
	e = inState(0, dead("a"), done("b"), done(completion), first(cleanup))
	if n := e.Drop(later, 0, func(d *Delivery) bool { return d.State == queue.Dead }); n != 1 || len(e.Deliveries) != 2 || e.Delivery(cleanup) != nil || e.EndedAt != later {
		t.Errorf("dropped %d: %+v", n, e)
	}
	if n := e.Drop(later, 0, func(d *Delivery) bool { return queue.IsStage(d.Upstream) }); n != 0 || len(e.Deliveries) != 2 {
		t.Errorf("dropped %d: %+v", n, e)
	}
	e = setAside(queue.Unconfirmed)
	if n := e.Replay([]string{completion, cleanup}, nil); n != 0 || e.SetAside != queue.Unconfirmed {
		t.Errorf("replayed %d: %+v", n, e)
	}
	if n := e.Replay([]string{"a", completion, cleanup}, nil); n != 1 || len(blocked(e)) != 2 || e.State() != queue.Pending {
		t.Errorf("replayed %d: %+v", n, e)
	}
}

// A blocked delivery counts for its upstream, and a blocked stage does not count.
func TestCountsOfStages(t *testing.T) {
	t.Parallel()
	c := make(Counts)
	for _, e := range []*Event{
		inState(0, first("a"), retry("b"), retry(completion), first(cleanup)), inState(0, first("a"), first(completion)),
		inState(0, done("a"), done(completion), retry(cleanup)), inState(0, done("a"), dead(cleanup)),
	} {
		c.Add(e, 1)
	}
	want := queue.Stats{
		Bytes:     200,
		Upstreams: map[string]queue.UpstreamStats{"a": {Pending: 2}, "b": {Pending: 1}},
		Stages:    map[string]queue.UpstreamStats{completion: {Pending: 2}, cleanup: {Pending: 1, Dead: 1}},
	}
	if got := c.Stats(); !reflect.DeepEqual(got, want) {
		t.Errorf("%+v, want %+v", got, want)
	}
	if c[Counter{CountFirst, "a"}] != 0 || c[Counter{CountBlocked, "a"}] != 2 || c[Counter{CountRetry, completion}] != 1 || c[Counter{CountBlocked, cleanup}] != 1 {
		t.Errorf("%v", c)
	}
}
