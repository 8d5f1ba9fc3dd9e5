package queuetest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/scribegate/scribegate/forwarder/queue"
)

// runModel does random operations to an engine and to the model, and compares
// their answers.
func runModel(t *testing.T, open Open) {
	rapid.Check(t, func(r *rapid.T) {
		s := queue.Settings{
			DedupeWindow:     rapid.SampledFrom([]time.Duration{time.Minute, time.Hour}).Draw(r, "dedupe"),
			DeadRetention:    rapid.SampledFrom([]time.Duration{time.Minute, time.Hour}).Draw(r, "dead"),
			HistoryRetention: rapid.SampledFrom([]time.Duration{time.Minute, time.Hour}).Draw(r, "history"),
			KeepDelivered:    rapid.SampledFrom([]time.Duration{0, 10 * time.Minute}).Draw(r, "keep"),
		}
		clock := NewClock()
		m := &machine{clock: clock, engine: open(t, s, clock), model: newModel(s, clock)}
		defer func() {
			if err := m.engine.Close(); err != nil {
				r.Fatalf("Close: %v", err)
			}
			m.compactionEnds()
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
	model  *model
	lent   []lent

	bookmarks []bookmark // of listings that may go on

	compacted chan error // the end of a compaction that is under way, or nil
}

// lent is a claimed delivery with its event in the model.
type lent struct {
	queue.Delivery
	event *modelEvent
}

var (
	someIDs       = rapid.SampledFrom([]string{"a", "b", "c", "d", "e", "f"})
	someUpstreams = rapid.SampledFrom([]string{"ehr", "warehouse"})
	someDuration  = rapid.SampledFrom([]time.Duration{0, time.Second, time.Minute, 10 * time.Minute, time.Hour, 3 * time.Hour})
)

func (m *machine) store(r *rapid.T) {
	id := someIDs.Draw(r, "id")
	upstreams := rapid.SliceOfNDistinct(someUpstreams, 0, 2, rapid.ID[string]).Draw(r, "upstreams")
	quarantined := rapid.IntRange(0, 9).Draw(r, "kind") == 0
	got, err := m.engine.Store(r.Context(), queue.Item{Event: Event(id, m.clock.Now()), Upstreams: upstreams, Quarantined: quarantined, Reason: Reason})
	if want := m.model.store(id, upstreams, quarantined); err != nil || got.Duplicate != want {
		r.Fatalf("Store(%s): %+v, %v; want duplicate %v", id, got, err, want)
	}
}

func (m *machine) claim(r *rapid.T) {
	upstream := someUpstreams.Draw(r, "upstream")
	want := queue.Want{First: rapid.IntRange(0, 3).Draw(r, "first"), Retry: rapid.IntRange(0, 3).Draw(r, "retry")}
	if _, err := m.engine.Stats(); err != nil { // or what was just stored might not be due yet
		r.Fatalf("Stats: %v", err)
	}
	got, err := m.engine.Claim(upstream, m.clock.Now(), want)
	if err != nil {
		r.Fatalf("Claim: %v", err)
	}
	ids, next := m.model.claim(upstream, want)
	for i, d := range got.Deliveries {
		if i >= len(ids) || d.EventID != ids[i] {
			r.Fatalf("Claim(%s, %+v): %+v, want %v", upstream, want, got.Deliveries, ids)
		}
		e := m.model.find(d.EventID)
		record := e.delivery(upstream)
		if d.Attempts != record.Attempts || d.Used != record.Used || !d.LastEnded.Equal(record.lastEnded()) {
			r.Fatalf("Claim(%s): %+v, want %+v", upstream, d, record)
		}
		m.lent = append(m.lent, lent{d, e})
	}
	if len(got.Deliveries) != len(ids) || !got.Next.Equal(next) {
		r.Fatalf("Claim(%s, %+v): %+v, want %v and next %v", upstream, want, got, ids, next)
	}
}

// take takes one of the deliveries that are lent.
func (m *machine) take(r *rapid.T) lent {
	if len(m.lent) == 0 {
		r.Skip("nothing is lent")
	}
	i := rapid.IntRange(0, len(m.lent)-1).Draw(r, "which")
	d := m.lent[i]
	m.lent = slices.Delete(m.lent, i, i+1)
	return d
}

func (m *machine) settle(r *rapid.T) {
	d := m.take(r)
	e, err := m.engine.Load(d.Delivery)
	if m.model.holds(d.event, d.Upstream) {
		if err != nil || !same(e, Event(d.EventID, d.ReceivedAt)) {
			r.Fatalf("Load(%+v): %+v, %v", d.Delivery, e, err)
		}
	} else if !errors.Is(err, queue.ErrNotFound) {
		r.Fatalf("Load(%+v) of a delivery that was purged: %+v, %v", d.Delivery, e, err)
	}
	o := queue.Outcome{
		Delivery: d.Delivery,
		At:       m.clock.Now(),
		Duration: someDuration.Draw(r, "duration"),
		Status:   rapid.SampledFrom([]int{0, 200, 503}).Draw(r, "status"),
		Result:   rapid.SampledFrom([]queue.Result{queue.Success, queue.Failure, queue.Timeout, queue.ConnectError, queue.Gone}).Draw(r, "result"),
		Used:     rapid.Bool().Draw(r, "used"),
		State:    rapid.SampledFrom([]queue.State{queue.Pending, queue.Delivered, queue.Dead}).Draw(r, "state"),
	}
	if o.State == queue.Pending {
		o.Next = m.clock.Now().Add(someDuration.Draw(r, "next"))
	}
	m.engine.Settle(o)
	m.engine.Flush()
	m.model.settle(d.event, d.Upstream, o)
}

func (m *machine) release(r *rapid.T) {
	d := m.take(r)
	m.engine.Release(d.Delivery)
	m.model.release(d.event, d.Upstream)
}

func (m *machine) replay(r *rapid.T) {
	var s queue.ReplaySelection
	switch rapid.IntRange(0, 2).Draw(r, "kind") {
	case 0:
		s.IDs = m.ids(r)
	case 1:
		s.Dead = true
	default:
		s.Since = m.clock.Now().Add(-someDuration.Draw(r, "ago"))
	}
	s.Upstreams = rapid.SampledFrom([][]string{nil, nil, {"ehr"}, {"warehouse"}, {"ehr", "warehouse"}}).Draw(r, "upstreams")
	got, err := m.engine.Replay(r.Context(), s)
	want, refused := m.model.replay(s)
	if got != want || !errors.Is(err, refused) {
		r.Fatalf("Replay(%+v): %+v, %v; want %+v, %v", s, got, err, want, refused)
	}
}

func (m *machine) purge(r *rapid.T) {
	s := queue.PurgeSelection{DryRun: rapid.IntRange(0, 3).Draw(r, "dry run") == 0}
	switch rapid.IntRange(0, 3).Draw(r, "kind") {
	case 0:
		s.IDs, s.Force = m.ids(r), rapid.Bool().Draw(r, "force")
	case 1:
		s.Dead = true
	case 2:
		s.Quarantined = true
	default:
		s.Upstream = someUpstreams.Draw(r, "upstream")
	}
	if (s.Dead || s.Quarantined) && rapid.Bool().Draw(r, "before") {
		s.Before = m.clock.Now().Add(-someDuration.Draw(r, "ago"))
	}
	got, err := m.engine.Purge(r.Context(), s)
	want, refused := m.model.purge(s)
	if got != want || !errors.Is(err, refused) {
		r.Fatalf("Purge(%+v): %d, %v; want %d, %v", s, got, err, want, refused)
	}
}

// ids are those of events that may or may not be there.
func (m *machine) ids(r *rapid.T) []string {
	return rapid.SliceOfNDistinct(someIDs, 1, 2, rapid.ID[string]).Draw(r, "ids")
}

func (m *machine) wait(r *rapid.T) {
	m.clock.Advance(someDuration.Draw(r, "wait"))
	m.engine.Sweep()
	m.model.sweep()
}

func (m *machine) configure(r *rapid.T) {
	s := m.model.settings
	s.HistoryRetention = max(time.Second, someDuration.Draw(r, "history"))
	s.KeepDelivered = someDuration.Draw(r, "keep")
	s.DeadRetention = max(time.Second, someDuration.Draw(r, "dead"))
	m.model.settings = s
	m.engine.Configure(s)
	m.engine.Sweep()
	m.model.sweep()
}

func (m *machine) restart(r *rapid.T) {
	if m.engine.Crash != nil && rapid.Bool().Draw(r, "crash") {
		m.engine.Queue = m.engine.Crash(m.model.settings)
		// What was killed may not have written down the time of its end.
		m.engine.Sweep()
		m.clock.Advance(time.Hour)
		m.engine.Sweep()
		m.model.sweep()
	} else {
		m.engine.Queue = m.engine.Reopen(m.model.settings)
	}
	m.compactionEnds()
	m.model.restart()
	m.lent = nil
}

// compact begins a compaction, or waits for the one that goes on beside
// everything else since it was last called.
func (m *machine) compact(r *rapid.T) {
	c, ok := m.engine.Queue.(queue.Compacter)
	if !ok {
		r.Skip("the engine has nothing to compact")
	}
	if m.compacted == nil {
		ended := make(chan error, 1)
		m.compacted = ended
		go func() {
			_, err := c.Compact(context.Background(), nil)
			ended <- err
		}()
		return
	}
	if err := <-m.compacted; err != nil {
		r.Fatalf("Compact: %v", err)
	}
	m.compacted = nil
}

// compactionEnds waits for a compaction in a queue that has been closed or that
// could write no more, whatever became of it.
func (m *machine) compactionEnds() {
	if m.compacted == nil {
		return
	}
	select {
	case err := <-m.compacted:
		_ = err // it may have been cut off
	case <-time.After(time.Minute):
		panic("a compaction does not end")
	}
	m.compacted = nil
}

// compare compares all that can be seen.
func (m *machine) compare(r *rapid.T) {
	m.compareListings(r)
	s, err := m.engine.Stats()
	if err != nil || fmt.Sprint(s.Upstreams) != fmt.Sprint(m.model.upstreams()) {
		r.Fatalf("Stats: %+v, %v; want %+v", s, err, m.model.upstreams())
	}
	for _, e := range m.model.events {
		got, err := m.engine.Payload(r.Context(), e.id)
		if e.payload && (err != nil || got.ID != e.id) || !e.payload && !errors.Is(err, queue.ErrNoPayload) {
			r.Fatalf("Payload(%s): %+v, %v; want payload %v", e.id, got, err, e.payload)
		}
	}
}
