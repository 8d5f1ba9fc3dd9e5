package model_test

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/scribegate/scribegate/forwarder/queue"
	"github.com/scribegate/scribegate/forwarder/queue/queuetest"
)

// filtering returns a fault: listings use a changed filter.
func filtering(change func(*queue.Filter)) func(*faulty, *queuetest.Engine, *referenceStorage) {
	return func(f *faulty, _ *queuetest.Engine, _ *referenceStorage) {
		f.events = func(ctx context.Context, filter queue.Filter) (queue.Page, error) {
			change(&filter)
			return f.Queue.Events(ctx, filter)
		}
	}
}

// settling returns a fault: outcomes are changed before they are recorded.
func settling(change func(*queue.Outcome)) func(*faulty, *queuetest.Engine, *referenceStorage) {
	return func(f *faulty, _ *queuetest.Engine, _ *referenceStorage) {
		f.settle = func(o queue.Outcome) {
			change(&o)
			f.Queue.Settle(o)
		}
	}
}

// withoutStage returns a fault: events are stored without the selected stages.
func withoutStage(selected func(string) bool) func(*faulty, *queuetest.Engine, *referenceStorage) {
	return func(f *faulty, _ *queuetest.Engine, _ *referenceStorage) {
		f.store = func(ctx context.Context, it queue.Item) (queue.Receipt, error) {
			it.Upstreams = slices.DeleteFunc(slices.Clone(it.Upstreams), selected)
			return f.Queue.Store(ctx, it)
		}
	}
}

// faults are ways to break a promise, each with the case that must detect it.
var faults = []struct {
	name, found string
	inject      func(*faulty, *queuetest.Engine, *referenceStorage)
}{
	{"a listing ignores the subject", "find: by subject, type and time", filtering(func(f *queue.Filter) { f.Subject = "" })},
	{"a listing ignores the type", "find: by subject, type and time", filtering(func(f *queue.Filter) { f.Type = "" })},
	{"a listing ignores the time", "find: by time of receipt, regardless of the order of the stores", filtering(func(f *queue.Filter) { f.Since = time.Time{} })},
	{"a listing matches the state of any delivery", "list: by state and upstream, newest first", filtering(func(f *queue.Filter) {
		if f.State != "" {
			f.Upstream = ""
		}
	})},
	{"a cursor counts events", "page: many events while some are stored and purged between the pages", func(f *faulty, _ *queuetest.Engine, _ *referenceStorage) {
		f.events = func(ctx context.Context, filter queue.Filter) (queue.Page, error) {
			skip := 0
			_, _ = fmt.Sscan(filter.Cursor, &skip)
			limit := filter.Limit
			filter.Cursor, filter.Limit = "", skip+limit
			p, err := f.Queue.Events(ctx, filter)
			p.Records = p.Records[min(skip, len(p.Records)):]
			if p.Next != "" {
				p.Next = fmt.Sprint(skip + limit)
			}
			return p, err
		}
	}},
	{"an event is visible only at the second call", "visible: a stored event, in every call of every goroutine", func(f *faulty, _ *queuetest.Engine, _ *referenceStorage) {
		var seen sync.Map
		f.event = func(ctx context.Context, id string) (queue.Record, error) {
			if _, again := seen.LoadOrStore(id, true); !again {
				return queue.Record{}, queue.ErrNotFound
			}
			return f.Queue.Event(ctx, id)
		}
	}},
	{"every id in the store is a duplicate", "dedupe: a new event replaces a trace that is older than the window", func(f *faulty, _ *queuetest.Engine, _ *referenceStorage) {
		f.store = func(ctx context.Context, it queue.Item) (queue.Receipt, error) {
			if _, err := f.Queue.Event(ctx, it.Event.ID); err == nil {
				return queue.Receipt{Duplicate: true}, nil
			}
			return f.Queue.Store(ctx, it)
		}
	}},
	{"an id is new after the window in any state", "dedupe: an event that is not delivered is a duplicate beyond the window", func(f *faulty, _ *queuetest.Engine, _ *referenceStorage) {
		f.store = func(ctx context.Context, it queue.Item) (queue.Receipt, error) {
			if r, err := f.Queue.Event(ctx, it.Event.ID); err == nil && it.Event.ReceivedAt.Sub(r.ReceivedAt) > 24*time.Hour {
				_, _ = f.Queue.Purge(ctx, queue.PurgeSelection{IDs: []string{r.ID}, Force: true})
			}
			return f.Queue.Store(ctx, it)
		}
	}},
	{"a purged id stays known", "purge: an id is forgotten with its event", func(f *faulty, _ *queuetest.Engine, _ *referenceStorage) {
		var known sync.Map
		f.store = func(ctx context.Context, it queue.Item) (queue.Receipt, error) {
			_, again := known.LoadOrStore(it.Event.ID, true)
			r, err := f.Queue.Store(ctx, it)
			return queue.Receipt{Duplicate: r.Duplicate || again}, err
		}
	}},
	{"a delivery is leased twice", "claim: no delivery is leased twice or lost", func(f *faulty, _ *queuetest.Engine, _ *referenceStorage) {
		var last atomic.Pointer[queue.Claimed]
		f.claim = func(upstream string, now time.Time, w queue.Want) (queue.Claimed, error) {
			if c := last.Swap(nil); c != nil {
				return *c, nil
			}
			c, err := f.Queue.Claim(upstream, now, w)
			if len(c.Deliveries) > 0 {
				last.Store(&c)
			}
			return c, err
		}
	}},
	{"a replay uses all upstreams of Route", "route: the selection's upstreams restrict those of Route", func(f *faulty, _ *queuetest.Engine, _ *referenceStorage) {
		f.replay = func(ctx context.Context, s queue.ReplaySelection) (queue.Replayed, error) {
			s.Upstreams = nil
			return f.Queue.Replay(ctx, s)
		}
	}},
	{"a replay by time includes unrouted events", "route: only a replay by id or by the state calls Route", func(f *faulty, _ *queuetest.Engine, _ *referenceStorage) {
		f.replay = func(ctx context.Context, s queue.ReplaySelection) (queue.Replayed, error) {
			if !s.Since.IsZero() {
				_, _ = f.Queue.Replay(ctx, queue.ReplaySelection{State: queue.Unrouted, Route: s.Route})
			}
			return f.Queue.Replay(ctx, s)
		}
	}},
	{"a replay by id skips an event without upstream", "route: by id all or none", func(f *faulty, _ *queuetest.Engine, _ *referenceStorage) {
		f.replay = func(ctx context.Context, s queue.ReplaySelection) (queue.Replayed, error) {
			s.IDs = slices.DeleteFunc(slices.Clone(s.IDs), func(id string) bool { return id == "unconfirmed" })
			return f.Queue.Replay(ctx, s)
		}
	}},
	{"deliveries do not wait for the completion", "complete: no delivery is due before the completion", withoutStage(queue.IsCompletion)},
	{"there is no cleanup", "clean up: after the last delivery, without the payload", withoutStage(queue.IsCleanup)},
	{"the completed event is not stored", "complete: the completed event takes the place of the stored one", settling(func(o *queue.Outcome) { o.Event = nil })},
	{"a result that is to be retained is deleted", "clean up: never if the completion retains the result, or a delivery is purged", settling(func(o *queue.Outcome) { o.Retain = false })},
	{"an unconfirmed event is delivered", "unconfirmed: the event is set aside with its payload", settling(func(o *queue.Outcome) {
		if o.State == queue.Unconfirmed {
			o.State = queue.Delivered
		}
	})},
	{"a stage is claimed without its history", "complete: a retry has the history of the attempts", func(f *faulty, _ *queuetest.Engine, _ *referenceStorage) {
		f.claim = func(upstream string, now time.Time, w queue.Want) (queue.Claimed, error) {
			c, err := f.Queue.Claim(upstream, now, w)
			for i := range c.Deliveries {
				c.Deliveries[i].History = nil
			}
			return c, err
		}
	}},
	{"a replay keeps every completion", "waiting: only a replay by id drops a completion that is not in the route any more", func(f *faulty, _ *queuetest.Engine, _ *referenceStorage) {
		f.replay = func(ctx context.Context, s queue.ReplaySelection) (queue.Replayed, error) {
			s.Route = nil
			return f.Queue.Replay(ctx, s)
		}
	}},
	{"a recovered event is stored twice", "recovered: any trace is a duplicate", func(f *faulty, _ *queuetest.Engine, _ *referenceStorage) {
		f.store = func(ctx context.Context, it queue.Item) (queue.Receipt, error) {
			it.Recovered = false
			return f.Queue.Store(ctx, it)
		}
	}},
	{"a purge ignores the time", "purge: events that were received before a time", func(f *faulty, _ *queuetest.Engine, _ *referenceStorage) {
		f.purge = func(ctx context.Context, s queue.PurgeSelection) (int, error) {
			s.Before = time.Time{}
			return f.Queue.Purge(ctx, s)
		}
	}},
	{"a purge by state ignores the ids", "narrow: a purge of the named events that are in the state", func(f *faulty, _ *queuetest.Engine, _ *referenceStorage) {
		f.purge = func(ctx context.Context, s queue.PurgeSelection) (int, error) {
			if s.State != "" {
				s.IDs = nil
			}
			return f.Queue.Purge(ctx, s)
		}
	}},
	{"a purge of named events ignores the state", "narrow: a purge of the named events that are in the state", func(f *faulty, _ *queuetest.Engine, _ *referenceStorage) {
		f.purge = func(ctx context.Context, s queue.PurgeSelection) (int, error) {
			if len(s.IDs) > 0 {
				s.State, s.Force = "", true
			}
			return f.Queue.Purge(ctx, s)
		}
	}},
	{"a replay by state ignores the ids", "narrow: a replay of the named events that are in the state", func(f *faulty, _ *queuetest.Engine, _ *referenceStorage) {
		f.replay = func(ctx context.Context, s queue.ReplaySelection) (queue.Replayed, error) {
			if s.State != "" {
				s.IDs = nil
			}
			return f.Queue.Replay(ctx, s)
		}
	}},
	{"a match selects whole events", "narrow: a match selects dead deliveries one by one", func(f *faulty, _ *queuetest.Engine, _ *referenceStorage) {
		f.replay = func(ctx context.Context, s queue.ReplaySelection) (queue.Replayed, error) {
			if match := s.Match; match != nil {
				s.Match = func(r queue.Record, _ *queue.DeliveryRecord) bool { return match(r, &r.Deliveries[0]) }
			}
			return f.Queue.Replay(ctx, s)
		}
	}},
	{"a match is not asked about events that are set aside", "narrow: a match selects events that are set aside", func(f *faulty, _ *queuetest.Engine, _ *referenceStorage) {
		f.purge = func(ctx context.Context, s queue.PurgeSelection) (int, error) {
			if s.State.SetAside() {
				s.Match = nil
			}
			return f.Queue.Purge(ctx, s)
		}
	}},
	{"a match is asked before the first change", "narrow: a match is asked when the event is changed", func(f *faulty, _ *queuetest.Engine, _ *referenceStorage) {
		f.purge = func(ctx context.Context, s queue.PurgeSelection) (int, error) {
			if match := s.Match; match != nil {
				page, err := f.Queue.Events(ctx, queue.Filter{State: s.State, Limit: 1000})
				if err != nil {
					return 0, err
				}
				s.IDs, s.Match = nil, nil
				for _, r := range page.Records {
					if match(r, &r.Deliveries[0]) {
						s.IDs = append(s.IDs, r.ID)
					}
				}
			}
			return f.Queue.Purge(ctx, s)
		}
	}},
	{"the end of an event is not recorded", "narrow: a record has the time since which its event has been in its state", func(f *faulty, _ *queuetest.Engine, _ *referenceStorage) {
		f.event = func(ctx context.Context, id string) (queue.Record, error) {
			r, err := f.Queue.Event(ctx, id)
			r.EndedAt = time.Time{}
			return r, err
		}
	}},
	{"a dry run purges", "purge: events by id in any state", func(f *faulty, _ *queuetest.Engine, _ *referenceStorage) {
		f.purge = func(ctx context.Context, s queue.PurgeSelection) (int, error) {
			s.DryRun = false
			return f.Queue.Purge(ctx, s)
		}
	}},
	{"unrouted events are not counted", "stats: the content of the store", func(f *faulty, _ *queuetest.Engine, _ *referenceStorage) {
		f.stats = func() (queue.Stats, error) {
			s, err := f.Queue.Stats()
			s.Unrouted = 0
			return s, err
		}
	}},
	{"damage costs the next event too", "damage: damaged bytes in the newest storage lose at most their events", func(_ *faulty, e *queuetest.Engine, s *referenceStorage) {
		damage := e.DamageRecent
		e.DamageRecent = func(settings queue.Settings, id string) (queue.Queue, func() []error) {
			s.lose("e26")
			return damage(settings, id)
		}
	}},
	{"damage is not reported", "damage: damaged bytes among events that were stored at once lose at most their events", func(_ *faulty, e *queuetest.Engine, _ *referenceStorage) {
		damage := e.DamageRecent
		e.DamageRecent = func(settings queue.Settings, id string) (queue.Queue, func() []error) {
			q, _ := damage(settings, id)
			return q, func() []error { return nil }
		}
	}},
	{"a rotation misses an event", "keys: replacing a key while events are stored makes no event unreadable", func(_ *faulty, _ *queuetest.Engine, s *referenceStorage) {
		s.misses = true
	}},
}

// A fault of an engine fails the case that tests the broken promise.
func TestSuiteFindsFaults(t *testing.T) {
	t.Parallel()
	for _, fault := range faults {
		t.Run(fault.name, func(t *testing.T) {
			t.Parallel()
			r := &failureRecorder{TB: t}
			r.run(func() {
				queuetest.RunCase(r, func(t testing.TB, s queue.Settings, clock *queuetest.Clock) *queuetest.Engine {
					e, storage := openStorage(t, s, clock)
					f := &faulty{Queue: e.Queue}
					e.Queue = f
					fault.inject(f, e, storage)
					return e
				}, fault.found)
			})
			if !r.failed.Load() {
				t.Errorf("the case %q does not detect the fault", fault.found)
			}
		})
	}
}
