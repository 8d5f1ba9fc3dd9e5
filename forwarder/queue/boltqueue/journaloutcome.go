package boltqueue

import (
	"slices"

	"github.com/scribegate/scribegate/forwarder/queue"
)

// An outcome is coded in the journal as a record: of the event, with the one
// delivery as it stands after the attempt, whose history is that attempt. Its
// number of used attempts is that of this one. No event is written there that was
// attempted before, so that is how they are told apart.

func (s *settling) appendEntry(b []byte, number uint64) []byte {
	o := &s.outcome
	d := delivery{upstream: o.Delivery.Upstream, attempts: o.Delivery.Attempts}
	d.settle(o)
	return appendEntry(b, number, &record{
		id: o.Delivery.EventID, provider: o.Delivery.Provider, typ: o.Delivery.Type,
		receivedAt: nanos(o.Delivery.ReceivedAt), deliveries: []delivery{d},
	}, nil)
}

// outcome returns what an entry tells of an attempt, unless it is of an event.
func (e *journalEntry) outcome() (o queue.Outcome, ok bool) {
	r := &e.record
	if len(r.deliveries) != 1 || r.deliveries[0].attempts == 0 || len(r.deliveries[0].history) != 1 {
		return o, false
	}
	d := &r.deliveries[0]
	a := d.history[0]
	return queue.Outcome{
		Delivery: queue.Delivery{
			EventID: r.id, Provider: r.provider, Type: r.typ, Upstream: d.upstream,
			ReceivedAt: at(r.receivedAt), Attempts: d.attempts - 1,
		},
		At: a.At, Duration: a.Duration, Status: a.Status, Result: a.Result,
		Used: d.used > 0, State: d.state, Next: at(d.next),
	}, true
}

// recall parts entries into events and outcomes, in their order. What became of an
// event is in its record.
func recall(entries []journalEntry) (events, outcomes []journalEntry) {
	byID := make(map[string]int)
	for _, e := range entries {
		o, ok := e.outcome()
		if !ok {
			byID[e.record.id] = len(events)
			events = append(events, e)
			continue
		}
		outcomes = append(outcomes, e)
		if i, ok := byID[e.record.id]; ok {
			if d := events[i].record.expecting(&o); d != nil {
				d.settle(&o)
			}
		}
	}
	return events, outcomes
}

// expecting returns the delivery whose next outcome is the one that the journal
// tells of. There is none where that was in the file before, or where the event is
// another one or has been replayed since.
func (r *record) expecting(o *queue.Outcome) *delivery {
	d := r.delivery(o.Delivery.Upstream)
	if d == nil || d.state != queue.Pending || d.attempts != o.Delivery.Attempts || r.receivedAt != nanos(o.Delivery.ReceivedAt) ||
		slices.ContainsFunc(d.history, func(a queue.Attempt) bool { return a.At.Equal(o.At) }) {
		return nil
	}
	return d
}

// applyRecalled records an outcome whose event is known by its id only.
func (s *settling) applyRecalled(t *txn) error {
	if seq := t.lookUp(s.outcome.Delivery.EventID).seq; seq != 0 {
		if r := t.record(seq); r != nil {
			if d := r.expecting(&s.outcome); d != nil {
				t.settle(seq, r, d, &s.outcome)
			}
		}
	}
	return t.err
}
