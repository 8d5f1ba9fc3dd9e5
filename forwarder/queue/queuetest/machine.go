package queuetest

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/scribegate/scribegate/forwarder/queue"
	"github.com/scribegate/scribegate/forwarder/queue/queuetest/model"
)

// runModel applies random operations to an engine and to the model, and compares their
// results.
func runModel(t testing.TB, open Open) {
	rapid.Check(t, func(r *rapid.T) {
		s := queue.Settings{
			DedupeWindow:     rapid.SampledFrom([]time.Duration{time.Minute, time.Hour}).Draw(r, "dedupe"),
			DeadRetention:    rapid.SampledFrom([]time.Duration{time.Minute, time.Hour}).Draw(r, "dead"),
			HistoryRetention: rapid.SampledFrom([]time.Duration{time.Minute, time.Hour, 6 * time.Hour}).Draw(r, "history"),
			KeepDelivered:    rapid.SampledFrom([]time.Duration{0, 10 * time.Minute}).Draw(r, "keep"),
		}
		clock := NewClock()
		now := func() (earliest, latest time.Time) { return clock.Now(), clock.Now() }
		m := &machine{clock: clock, engine: open(t, s, clock), model: model.New(s, now)}
		defer func() {
			if err := m.engine.Close(); err != nil {
				r.Fatalf("Close: %v", err)
			}
			m.endCompaction()
		}()
		r.Repeat(map[string]func(*rapid.T){
			"store":     m.store,
			"store 2":   m.store,
			"claim":     m.claim,
			"claim 2":   m.claim,
			"settle":    m.settle,
			"settle 2":  m.settle,
			"release":   m.release,
			"replay":    m.replay,
			"purge":     m.purge,
			"wait":      m.wait,
			"configure": m.configure,
			"restart":   m.restart,
			"compact":   m.compact,
			"page":      m.page,
			"":          m.compare,
		})
	})
}

// A machine drives an engine and its model.
type machine struct {
	clock  *Clock
	engine *Engine
	model  *model.Model
	leases []lease

	bookmarks []bookmark // of listings that may be resumed

	compacted chan error // receives the error of a running compaction; nil if none runs
}

// A lease is a claimed delivery with its event in the model.
type lease struct {
	queue.Delivery
	event *model.Event
}

var (
	someIDs       = rapid.SampledFrom([]string{"a", "b", "c", "d", "e", "f"})
	someUpstreams = rapid.SampledFrom([]string{"ehr", "warehouse"})
	someClaimants = rapid.SampledFrom([]string{"ehr", "warehouse", completion, cleanup})
	fanOuts       = rapid.SampledFrom([][]string{nil, nil, {"ehr"}, {"warehouse"}, {"ehr", "warehouse"}})
	someStages    = rapid.SampledFrom([][]string{nil, nil, {completion}, {completion, cleanup}})
	someSubjects  = rapid.SampledFrom([]string{"", "note-1", "note-2"})
	someTypes     = rapid.SampledFrom([]string{"note.generated", "note.failed", "other"})
	someDuration  = rapid.SampledFrom([]time.Duration{0, time.Second, time.Minute, 10 * time.Minute, time.Hour, 3 * time.Hour})
	asideStates   = rapid.SampledFrom([]queue.State{queue.Quarantined, queue.Unrouted, queue.Unconfirmed})
)

func (m *machine) store(r *rapid.T) {
	e := Event(someIDs.Draw(r, "id"), m.clock.Now(), Subject(someSubjects.Draw(r, "subject")), Type(someTypes.Draw(r, "type")))
	it := queue.Item{Event: e, Upstreams: rapid.SliceOfNDistinct(someUpstreams, 0, 2, rapid.ID[string]).Draw(r, "upstreams")}
	it.Upstreams = append(it.Upstreams, someStages.Draw(r, "stages")...)
	it.Recovered = rapid.IntRange(0, 4).Draw(r, "recovered") == 0
	if rapid.IntRange(0, 4).Draw(r, "kind") == 0 {
		it = asideItem(e, asideStates.Draw(r, "state"))
	}
	got, err := m.engine.Store(r.Context(), it)
	if want := m.model.Store(it); err != nil || got.Duplicate != want {
		r.Fatalf("Store(%s): %+v, %v; want duplicate %v", e.ID, got, err, want)
	}
}

func (m *machine) claim(r *rapid.T) {
	upstream := someClaimants.Draw(r, "upstream")
	want := queue.Want{First: rapid.IntRange(0, 3).Draw(r, "first"), Retry: rapid.IntRange(0, 3).Draw(r, "retry")}
	if _, err := m.engine.Stats(); err != nil { // afterwards all stored events are due
		r.Fatalf("Stats: %v", err)
	}
	got, err := m.engine.Claim(upstream, m.clock.Now(), want)
	if err != nil {
		r.Fatalf("Claim: %v", err)
	}
	events, next := m.model.Claim(upstream, m.clock.Now(), want)
	if len(got.Deliveries) != len(events) || !got.Next.Equal(next) {
		r.Fatalf("Claim(%s, %+v): %+v, want %d and next %v", upstream, want, got, len(events), next)
	}
	for i, e := range events {
		d := got.Deliveries[i]
		m.leases = append(m.leases, lease{d, e})
		d.Seq, d.Size, d.LastEnded = 0, 0, d.LastEnded.UTC()
		if want := e.Claimed(upstream); fmt.Sprintf("%+v", d) != fmt.Sprintf("%+v", want) {
			r.Fatalf("Claim(%s): %+v at %d, want %+v", upstream, d, i, want)
		}
	}
}

// pick removes and returns one of the leases.
func (m *machine) pick(r *rapid.T) lease {
	if len(m.leases) == 0 {
		r.Skip("nothing is leased")
	}
	i := rapid.IntRange(0, len(m.leases)-1).Draw(r, "which")
	l := m.leases[i]
	m.leases = slices.Delete(m.leases, i, i+1)
	return l
}

// settle records the outcomes of some leases. They become durable together, or with the
// replay or purge that follows.
func (m *machine) settle(r *rapid.T) {
	m.settleOne(r)
	for range min(len(m.leases), rapid.IntRange(0, 3).Draw(r, "more")) {
		m.settleOne(r)
	}
	switch rapid.IntRange(0, 3).Draw(r, "next") {
	case 0:
		m.replay(r)
	case 1:
		m.purge(r)
	}
	m.engine.Flush()
}

func (m *machine) settleOne(r *rapid.T) {
	l := m.pick(r)
	e, err := m.engine.Load(l.Delivery)
	if queue.IsCleanup(l.Upstream) {
		if !errors.Is(err, queue.ErrNoPayload) {
			r.Fatalf("Load(%+v) of a cleanup: %+v, %v", l.Delivery, e, err)
		}
	} else if m.model.Holds(l.event, l.Upstream) {
		if err != nil || !same(e, l.event.Event) {
			r.Fatalf("Load(%+v): %+v, %v", l.Delivery, e, err)
		}
	} else if !errors.Is(err, queue.ErrNotFound) {
		r.Fatalf("Load(%+v) of a purged delivery: %+v, %v", l.Delivery, e, err)
	}
	o := queue.Outcome{
		Delivery: l.Delivery,
		At:       m.clock.Now(),
		Duration: someDuration.Draw(r, "duration"),
		Status:   rapid.SampledFrom([]int{0, 200, 503}).Draw(r, "status"),
		Result:   rapid.SampledFrom(queue.Results).Draw(r, "result"),
		Used:     rapid.Bool().Draw(r, "used"),
		State:    rapid.SampledFrom([]queue.State{queue.Pending, queue.Delivered, queue.Dead}).Draw(r, "state"),
	}
	if queue.IsStage(l.Upstream) {
		o.Note = rapid.SampledFrom([]string{"", "a note"}).Draw(r, "note")
	}
	if queue.IsCompletion(l.Upstream) {
		m.complete(r, l, &o)
	}
	if o.State == queue.Pending {
		o.Next = m.clock.Now().Add(someDuration.Draw(r, "next"))
	}
	m.engine.Settle(o)
	m.model.Settle(l.event, l.Upstream, o)
}

// complete makes the outcome one of a completion.
func (m *machine) complete(r *rapid.T, l lease, o *queue.Outcome) {
	switch o.State {
	case queue.Dead:
		o.State, o.Reason = queue.Unconfirmed, Reason
	case queue.Delivered:
		if n := rapid.SampledFrom([]int{-1, 0, 1, 10_000}).Draw(r, "completed"); n >= 0 {
			o.Event = completed(l.event.Event, n)
		}
		o.Retain = rapid.Bool().Draw(r, "retain")
	default:
	}
}

func (m *machine) release(r *rapid.T) {
	l := m.pick(r)
	m.engine.Release(l.Delivery)
	m.model.Release(l.event, l.Upstream)
}

func (m *machine) wait(r *rapid.T) {
	m.clock.Advance(someDuration.Draw(r, "wait"))
	m.engine.Sweep()
	m.model.Sweep()
}

func (m *machine) configure(r *rapid.T) {
	s := m.model.Settings
	s.HistoryRetention = max(time.Second, someDuration.Draw(r, "history"))
	s.KeepDelivered = someDuration.Draw(r, "keep")
	s.DeadRetention = max(time.Second, someDuration.Draw(r, "dead"))
	m.model.Settings = s
	m.engine.Configure(s)
	m.engine.Sweep()
	m.model.Sweep()
}

func (m *machine) restart(r *rapid.T) {
	if m.engine.Crash != nil && rapid.Bool().Draw(r, "crash") {
		m.engine.Queue = m.engine.Crash(m.model.Settings)
		// The process may have ended before it wrote the time.
		m.engine.Sweep()
		m.clock.Advance(time.Hour)
		m.engine.Sweep()
		m.model.Sweep()
	} else {
		m.engine.Queue = m.engine.Reopen(m.model.Settings)
	}
	m.endCompaction()
	m.model.Restart()
	m.leases = nil
}

// compare compares the whole visible state.
func (m *machine) compare(r *rapid.T) {
	m.compareListings(r)
	got, err := m.engine.Stats()
	bytes, want := got.Bytes, m.model.Stats()
	got.Bytes = 0
	if err != nil || fmt.Sprint(got) != fmt.Sprint(want) {
		r.Fatalf("Stats: %+v, %v; want %+v", got, err, want)
	}
	payloads := false
	for _, e := range m.model.Events {
		payloads = payloads || e.Payload
		got, err := m.engine.Payload(r.Context(), e.Event.ID)
		if e.Payload && (err != nil || !same(got, e.Event)) || !e.Payload && !errors.Is(err, queue.ErrNoPayload) {
			r.Fatalf("Payload(%s): %+v, %v; want payload %v", e.Event.ID, got, err, e.Payload)
		}
	}
	if payloads != (bytes > 0) {
		r.Fatalf("%d bytes of sealed records, want some: %t", bytes, payloads)
	}
}
