package queuetest

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/scribegate/scribegate/forwarder/queue"
)

// A Node is another process that shares the store of an Engine.
type Node struct {
	queue.Queue

	Flush func() // returns when all earlier outcomes are durable

	// Kill ends the node as the end of its process does, and returns when the other nodes
	// have its deliveries.
	Kill func()

	// Stall returns when the other nodes have its deliveries, as if it had hung for longer
	// than it may. The node does not notice that.
	Stall func()
}

// join opens another node, or returns nil if the engine is for one process.
func (h *harness) join(skew time.Duration) *Node {
	h.Helper()
	if !h.has(h.Join != nil, "Join") {
		return nil
	}
	return h.Join(skew)
}

// waitUntil waits for a condition that another node makes true.
func (h *harness) waitUntil(what string, holds func() bool) {
	h.Helper()
	for end := time.Now().Add(20 * time.Second); !holds(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			h.Fatalf("waited too long: %s", what)
		}
	}
}

// claimAt claims what is due on a node.
func (h *harness) claimAt(q queue.Queue, upstream string, now time.Time) []queue.Delivery {
	h.Helper()
	c, err := q.Claim(upstream, now, queue.Want{First: 10, Retry: 10})
	if err != nil {
		h.Fatalf("Claim(%s): %v", upstream, err)
	}
	return c.Deliveries
}

// claimEventually claims the delivery of the only event that becomes due on a node.
func (h *harness) claimEventually(q queue.Queue, upstream, id string) (d queue.Delivery) {
	h.Helper()
	h.waitUntil(id+" is due on the node", func() bool {
		ds := h.claimAt(q, upstream, h.Now())
		if len(ds) == 0 {
			return false
		}
		h.wantIDs(ds, id)
		d = ds[0]
		return true
	})
	return d
}

func delivered(d queue.Delivery, at time.Time) queue.Outcome {
	return queue.Outcome{Delivery: d, At: at, State: queue.Delivered, Result: queue.Success, Status: 200, Used: true}
}

// A pauseEar records the pauses that a node hears of.
type pauseEar struct {
	mu  sync.Mutex
	all queue.Pauses
}

// listen makes a node record the pauses that it hears of, or returns nil if the engine does
// not share them.
func (h *harness) listen(q queue.Queue) (queue.PauseSharer, *pauseEar) {
	h.Helper()
	s, ok := q.(queue.PauseSharer)
	if !h.has(ok, "ChangePause") {
		return nil, nil
	}
	e := &pauseEar{}
	s.NotifyPauses(func(all queue.Pauses) {
		e.mu.Lock()
		defer e.mu.Unlock()
		if all.Version < e.all.Version {
			h.Errorf("heard of version %d after %d", all.Version, e.all.Version)
		}
		e.all = all
	})
	return s, e
}

func (e *pauseEar) of(key queue.PauseKey) queue.Pause {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.all.Of(key)
}

// nodes has the cases of several nodes on one store.
var nodes = []testCase{
	{name: "nodes: one of two that store an event at once is the first", test: func(h *harness) {
		other := h.join(0)
		if other == nil {
			return
		}
		for i := range 50 {
			var stored atomic.Int64
			var wg sync.WaitGroup
			for _, q := range []queue.Queue{h.Queue, other, h.Queue, other} {
				wg.Go(func() {
					r, err := q.Store(h.Context(), queue.Item{Event: Event(fmt.Sprint("e", i), h.Now()), Upstreams: []string{"ehr"}})
					if err != nil {
						h.Errorf("Store: %v", err)
					}
					if !r.Duplicate {
						stored.Add(1)
					}
				})
			}
			wg.Wait()
			if n := stored.Load(); n != 1 {
				h.Fatalf("%d of the stores are new, want 1", n)
			}
		}
	}},
	{name: "nodes: what one has acknowledged is visible at the other at once", test: func(h *harness) {
		other := h.join(0)
		if other == nil {
			return
		}
		h.Notify(func(string) {})
		for i := range 20 {
			id := fmt.Sprint("e", i)
			h.store(id, "ehr")
			r, err := other.Event(h.Context(), id)
			if err != nil || r.State != queue.Pending {
				h.Fatalf("Event(%s): %+v, %v", id, r, err)
			}
			if e, err := other.Payload(h.Context(), id); err != nil || !same(e, Event(id, h.Now())) {
				h.Fatalf("Payload(%s): %v", id, err)
			}
			if p, err := other.Events(h.Context(), queue.Filter{Limit: 1}); err != nil || len(p.Records) != 1 || p.Records[0].ID != id {
				h.Fatalf("Events: %+v, %v; want %s", p, err, id)
			}
			if s, err := other.Stats(); err != nil || s.Upstreams["ehr"].Pending != int64(i+1) {
				h.Fatalf("Stats: %+v, %v; want %d pending", s, err, i+1)
			}
		}
	}},
	{name: "nodes: an event is delivered by a node that has its upstream, and by one only", test: func(h *harness) {
		other := h.join(0)
		if other == nil {
			return
		}
		var woken atomic.Bool
		other.Notify(func(upstream string) {
			if upstream == "lab" {
				woken.Store(true)
			}
		})
		if ds := h.claimAt(other, "lab", h.Now()); len(ds) > 0 {
			h.Fatalf("claimed %v of an empty store", ds)
		}
		woken.Store(false)
		h.store("a", "lab")
		h.waitUntil("the other node is notified", woken.Load)
		d := h.claimEventually(other, "lab", "a")
		h.wantIDs(h.claim("lab", 10))
		if e, err := other.Load(d); err != nil || !same(e, Event("a", h.Now())) {
			h.Fatalf("Load: %v", err)
		}
		if s := h.stats().Upstreams["lab"]; s.Pending != 1 || s.InFlight != 1 {
			h.Fatalf("stats %+v, want one in flight", s)
		}
		other.Settle(delivered(d, h.Now()))
		other.Flush()
		h.wantStates("a", queue.Delivered, "lab delivered")
	}},
	{name: "nodes: the deliveries of a node that is killed go to another", test: func(h *harness) {
		other := h.join(0)
		if other == nil {
			return
		}
		if _, err := other.Store(h.Context(), queue.Item{Event: Event("a", h.Now()), Upstreams: []string{"ehr"}}); err != nil {
			h.Fatal(err)
		}
		h.claimEventually(other, "ehr", "a")
		for _, id := range []string{"b", "c"} { // which the node may lease in advance
			if _, err := other.Store(h.Context(), queue.Item{Event: Event(id, h.Now()), Upstreams: []string{"ehr"}}); err != nil {
				h.Fatal(err)
			}
		}
		other.Kill()
		h.wantIDs(h.claim("ehr", 10), "a", "b", "c")
	}},
	{name: "nodes: a node that comes back undoes no outcome", test: func(h *harness) {
		for _, o := range []queue.Outcome{
			{State: queue.Delivered, Result: queue.Success, Used: true},
			{State: queue.Dead, Result: queue.Gone, Used: true},
			{State: queue.Pending, Result: queue.Failure, Used: true, Next: h.Now().Add(time.Hour)},
		} {
			other := h.join(0)
			if other == nil {
				return
			}
			id := "settled " + string(o.State)
			h.store(id, "ehr")
			late := h.claimEventually(other, "ehr", id)
			other.Stall()
			d := h.claimOne("ehr", id)

			// While this node delivers, then when it has.
			o.Delivery, o.At = late, h.Now()
			other.Settle(o)
			other.Flush()
			h.wantStates(id, queue.Pending, "ehr pending")
			if got := h.record(id).Deliveries[0]; got.Attempts != 0 {
				h.Fatalf("a late outcome was recorded: %+v", got)
			}
			h.deliver(d)
			other.Settle(o)
			other.Flush()
			h.wantStates(id, queue.Delivered, "ehr delivered")
			if got := h.record(id).Deliveries[0]; len(got.History) != 1 {
				h.Fatalf("a late outcome was recorded: %+v", got)
			}
			if _, err := other.Store(h.Context(), queue.Item{Event: Event("after "+id, h.Now()), Upstreams: []string{"lab"}}); err != nil {
				h.Fatalf("a node that came back cannot store: %v", err)
			}
			if err := other.Close(); err != nil {
				h.Fatal(err)
			}
		}
	}},
	{name: "nodes: a late outcome counts if nobody has attempted the delivery since", test: func(h *harness) {
		other := h.join(0)
		if other == nil {
			return
		}
		h.store("a", "ehr")
		late := h.claimEventually(other, "ehr", "a")
		other.Stall()
		other.Settle(delivered(late, h.Now()))
		other.Flush()
		h.wantStates("a", queue.Delivered, "ehr delivered")
		h.wantIDs(h.claim("ehr", 10))
	}},
	{name: "nodes: the clock of the store decides, whatever those of the nodes show", test: func(h *harness) {
		for _, skew := range []time.Duration{5 * time.Minute, -5 * time.Minute} {
			other := h.join(skew)
			if other == nil {
				return
			}
			id := skew.String()
			h.store(id, "ehr")
			theirs := func() time.Time { return h.Now().Add(skew) }
			var d queue.Delivery
			h.waitUntil("the event is due on the other node", func() bool {
				ds := h.claimAt(other, "ehr", theirs())
				if len(ds) == 1 {
					d = ds[0]
				}
				return len(ds) == 1
			})
			other.Settle(queue.Outcome{Delivery: d, At: theirs(), State: queue.Pending, Result: queue.Failure, Used: true, Next: theirs().Add(time.Minute)})
			other.Flush()
			h.wantIDs(h.claim("ehr", 10))
			c, err := other.Claim("ehr", theirs(), queue.Want{Retry: 1})
			if err != nil || len(c.Deliveries) > 0 || !c.Next.Equal(theirs().Add(time.Minute)) {
				h.Fatalf("Claim with a clock that is off by %s: %+v, %v; want the next in a minute", skew, c, err)
			}
			h.Advance(time.Minute)
			h.waitUntil("the retry is due", func() bool {
				ds := h.claim("ehr", 10)
				if len(ds) == 1 {
					d = ds[0]
				}
				return len(ds) == 1
			})
			if !d.LastEnded.Equal(h.Now().Add(-time.Minute)) {
				h.Fatalf("the attempt ended at %s, want %s", d.LastEnded, h.Now().Add(-time.Minute))
			}
			h.deliver(d)
			if err := other.Close(); err != nil {
				h.Fatal(err)
			}
		}
	}},
	{name: "nodes: replay and purge hold for all", test: func(h *harness) {
		other := h.join(0)
		if other == nil {
			return
		}
		h.store("a", "ehr")
		d := h.claimEventually(other, "ehr", "a")
		h.replay(queue.ReplaySelection{IDs: []string{"a"}}, queue.Replayed{}) // it is claimed
		other.Settle(queue.Outcome{Delivery: d, At: h.Now(), State: queue.Dead, Result: queue.Gone, Used: true})
		other.Flush()
		h.replay(queue.ReplaySelection{State: queue.Dead}, queue.Replayed{Deliveries: 1})
		d = h.claimEventually(other, "ehr", "a")
		if d.Attempts != 0 {
			h.Fatalf("claimed %+v, want no attempts", d)
		}
		h.purge(queue.PurgeSelection{IDs: []string{"a"}, Force: true}, 1)
		_, err := other.Load(d)
		h.wantErr("Load of a delivery that another node has purged", err, queue.ErrNotFound)
		other.Settle(delivered(d, h.Now()))
		other.Flush()
		h.wantGone("a")
		if r, err := other.Store(h.Context(), queue.Item{Event: Event("a", h.Now()), Upstreams: []string{"ehr"}}); err != nil || r.Duplicate {
			h.Fatalf("Store after the purge: %+v, %v", r, err)
		}
	}},
	{name: "nodes: a full store has room for a node when another makes some", settings: func(s *queue.Settings) { s.MaxSize = 2000 }, test: func(h *harness) {
		other := h.join(0)
		if other == nil {
			return
		}
		n := 0
		for ; h.tryStore(fmt.Sprint("e", n), shortWait) == nil; n++ {
		}
		waiting := make(chan error, 1)
		go func() {
			_, err := other.Store(h.Context(), queue.Item{Event: Event("late", h.Now()), Upstreams: []string{"lab"}})
			waiting <- err
		}()
		for _, d := range h.claim("ehr", 100) {
			h.deliver(d)
		}
		if _, err := other.Stats(); err != nil { // as the gateway asks for from time to time
			h.Fatal(err)
		}
		if err := <-waiting; err != nil {
			h.Fatalf("the waiting store returned %v", err)
		}
	}},
	{name: "nodes: no delivery is made twice or lost by several that work at once", test: func(h *harness) {
		other := h.join(0)
		if other == nil {
			return
		}
		third := h.join(0)
		const events = 300
		var mu sync.Mutex
		leased, made := make(map[string]bool), make(map[string]int)
		var wg sync.WaitGroup
		for w, q := range []queue.Queue{h.Queue, other, third} {
			wg.Go(func() {
				for i := w; i < events; i += 3 {
					if _, err := q.Store(h.Context(), queue.Item{Event: Event(fmt.Sprint("e", i), h.Now()), Upstreams: []string{"ehr"}}); err != nil {
						h.Errorf("Store: %v", err)
					}
				}
			})
			wg.Go(func() {
				for n := w; ; n++ {
					c, err := q.Claim("ehr", h.Now(), queue.Want{First: 3, Retry: 3})
					if err != nil {
						h.Errorf("Claim: %v", err)
						return
					}
					mu.Lock()
					done := len(made) == events
					for _, d := range c.Deliveries {
						if leased[d.EventID] || made[d.EventID] > 0 {
							h.Errorf("%s is leased twice, or after it was delivered", d.EventID)
						}
						leased[d.EventID] = true
					}
					mu.Unlock()
					if done || h.Context().Err() != nil {
						return
					}
					for i, d := range c.Deliveries {
						mu.Lock()
						delete(leased, d.EventID)
						switch (n + i) % 3 {
						case 0:
							q.Release(d)
						case 1:
							q.Settle(queue.Outcome{Delivery: d, At: h.Now(), State: queue.Pending, Result: queue.Timeout, Used: true, Next: h.Now()})
						default:
							made[d.EventID]++
							q.Settle(delivered(d, h.Now()))
						}
						mu.Unlock()
					}
					if len(c.Deliveries) == 0 {
						time.Sleep(time.Millisecond)
					}
				}
			})
		}
		wg.Wait()
		for _, flush := range []func(){h.Flush, other.Flush, third.Flush} {
			flush()
		}
		if s := h.stats(); len(s.Upstreams) != 0 || s.Bytes != 0 {
			h.Fatalf("stats %+v, want none", s)
		}
		if err := errors.Join(other.Close(), third.Close()); err != nil {
			h.Fatal(err)
		}
	}},
	{name: "nodes: a pause that one changes is heard of by the others, by their clocks", test: func(h *harness) {
		const skew = 5 * time.Minute
		other := h.join(skew)
		if other == nil {
			return
		}
		here, _ := h.listen(h.Queue)
		there, heard := h.listen(other.Queue)
		if here == nil {
			return
		}
		key := queue.PauseKey{Upstream: "ehr", Backend: "b"}
		want := queue.Pause{Hold: h.Now().Add(time.Hour), Probe: h.Now().Add(time.Second), Delay: time.Minute, Prober: "here", Probed: "e1"}
		set, err := here.ChangePause(key, func(p queue.Pause) queue.Pause {
			if !p.Hold.IsZero() || !p.Probe.IsZero() {
				h.Errorf("the first change got %+v", p)
			}
			return want
		})
		if err != nil || set.Version == 0 || !set.Hold.Equal(want.Hold) {
			h.Fatalf("ChangePause: %+v, %v", set, err)
		}
		h.waitUntil("the other node hears of the pause", func() bool { return heard.of(key).Version == set.Version })
		got := heard.of(key)
		if !got.Hold.Equal(want.Hold.Add(skew)) || !got.Probe.Equal(want.Probe.Add(skew)) || got.Delay != want.Delay || got.Prober != "here" || got.Probed != "e1" {
			h.Fatalf("heard of %+v, want %+v, %s later", got, want, skew)
		}
		for _, k := range []queue.PauseKey{{Upstream: "ehr", Backend: "other"}, {Upstream: "lab", Backend: "b"}} {
			if p := heard.of(k); p.Version != set.Version || !p.Hold.IsZero() {
				h.Fatalf("heard of a pause of %+v: %+v", k, p)
			}
		}
		same, err := there.ChangePause(key, func(p queue.Pause) queue.Pause { return p })
		if err != nil || same.Version != set.Version {
			h.Fatalf("a change of nothing: %+v, %v; want version %d", same, err, set.Version)
		}
		ended, err := there.ChangePause(key, func(queue.Pause) queue.Pause { return queue.Pause{} })
		if err != nil || ended.Version <= set.Version {
			h.Fatalf("ChangePause: %+v, %v", ended, err)
		}
		h.reopen()
		_, heard = h.listen(h.Queue)
		if p := heard.of(key); p.Version < ended.Version || !p.Hold.IsZero() || !p.Probe.IsZero() {
			h.Fatalf("heard of %+v after the pause has ended", p)
		}
	}},
	{name: "nodes: no change of a pause is lost if several change it at once", test: func(h *harness) {
		other := h.join(0)
		if other == nil {
			return
		}
		here, _ := h.listen(h.Queue)
		there, heard := h.listen(other.Queue)
		if here == nil {
			return
		}
		key := queue.PauseKey{Upstream: "ehr", Backend: "b"}
		hold := h.Now().Add(time.Hour)
		const each = 25
		var wg sync.WaitGroup
		for _, s := range []queue.PauseSharer{here, there, here, there} {
			wg.Go(func() {
				for range each {
					if _, err := s.ChangePause(key, func(p queue.Pause) queue.Pause {
						p.Hold = hold
						p.Delay++
						return p
					}); err != nil {
						h.Errorf("ChangePause: %v", err)
					}
				}
			})
		}
		wg.Wait()
		h.waitUntil("the other node hears of all changes", func() bool { return heard.of(key).Delay == 4*each })
	}},
}
