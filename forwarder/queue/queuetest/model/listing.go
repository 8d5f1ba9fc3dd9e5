package model

import (
	"cmp"
	"slices"

	"github.com/scribegate/scribegate/forwarder/queue"
)

// List returns the events that match, newest first.
func (m *Model) List(f queue.Filter) (events []*Event) {
	for _, e := range slices.Backward(m.Events) {
		if Matches(e.Record(), f) {
			events = append(events, e)
		}
	}
	return events
}

// Matches reports whether a listing contains the record, regardless of its limit and
// cursor.
func Matches(r queue.Record, f queue.Filter) bool {
	switch {
	case f.Subject != "" && r.Subject != f.Subject, f.Type != "" && r.Type != f.Type, r.ReceivedAt.Before(f.Since):
		return false
	case f.Upstream == "" && (f.State == "" || r.State == f.State):
		return true
	}
	return slices.ContainsFunc(r.Deliveries, func(d queue.DeliveryRecord) bool {
		return (f.Upstream == "" || d.Upstream == f.Upstream) && (f.State == "" || d.State == f.State)
	})
}

// Stats returns the counts of the store's content, except the bytes.
func (m *Model) Stats() queue.Stats {
	s := queue.Stats{MaxBytes: m.Settings.MaxSize, Upstreams: make(map[string]queue.UpstreamStats), Stages: make(map[string]queue.UpstreamStats)}
	aside := map[queue.State]*int64{queue.Quarantined: &s.Quarantined, queue.Unrouted: &s.Unrouted, queue.Unconfirmed: &s.Unconfirmed}
	for _, e := range m.Events {
		if n := aside[e.Overall()]; n != nil {
			*n++
		}
		for _, d := range e.deliveries {
			names := s.Upstreams
			if d.stage() {
				names = s.Stages
				if d.State == queue.Pending && !e.claimable(d) {
					continue
				}
			}
			u := names[d.Upstream]
			switch d.State {
			case queue.Pending:
				u.Pending++
				u.OldestPending = cmp.Or(u.OldestPending, e.Event.ReceivedAt)
				if d.leased {
					u.InFlight++
				}
			case queue.Dead:
				u.Dead++
			default:
				continue
			}
			names[d.Upstream] = u
		}
	}
	return s
}
