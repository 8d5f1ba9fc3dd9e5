package gateway

import (
	"context"
	"errors"
	"time"

	"github.com/scribegate/scribegate/caddymodule/admin"
	"github.com/scribegate/scribegate/caddymodule/internal/metrics"
	"github.com/scribegate/scribegate/caddymodule/internal/results"
	"github.com/scribegate/scribegate/forwarder/queue"
	"github.com/scribegate/scribegate/verifier/event"
)

// subjectLimit is how many events of one note or transcription are looked at.
const subjectLimit = 1000

// recoverable is the store of a gateway for the events that a provider's API returned.
type recoverable struct{ g *Gateway }

// Known implements results.Store.
func (s recoverable) Known(ctx context.Context, id string) (bool, error) {
	_, err := s.g.queue.Event(ctx, id)
	if errors.Is(err, queue.ErrNotFound) {
		return false, nil
	}
	return err == nil, err
}

// KnownSubject implements results.Store.
func (s recoverable) KnownSubject(ctx context.Context, provider, subject string) (bool, error) {
	return s.any(ctx, provider, subject, func(queue.Record) bool { return true })
}

// WaitsFor implements results.Store.
func (s recoverable) WaitsFor(ctx context.Context, provider, subject string) (bool, error) {
	return s.any(ctx, provider, subject, func(r queue.Record) bool { return r.State != queue.Delivered })
}

// any reports whether the store has an event of the provider with the subject for which
// has is true.
func (s recoverable) any(ctx context.Context, provider, subject string, has func(queue.Record) bool) (bool, error) {
	page, err := s.g.queue.Events(ctx, queue.Filter{Subject: subject, Limit: subjectLimit})
	if err != nil {
		return false, err
	}
	for _, r := range page.Records {
		if r.Provider == provider && has(r) {
			return true, nil
		}
	}
	return false, nil
}

// Take implements results.Store.
func (s recoverable) Take(ctx context.Context, e *event.Event, by string, again bool) (bool, error) {
	c := s.g.Config()
	if c == nil {
		return false, ErrNotRunning
	}
	if again {
		if err := s.forget(ctx, e.ID); err != nil {
			return false, err
		}
	}
	it, o := c.Item(e)
	ctx, cancel := context.WithTimeout(ctx, s.g.storeTimeout)
	defer cancel()
	receipt, err := s.g.Store(ctx, it)
	if err != nil || receipt.Duplicate {
		return false, err
	}
	metrics.EventRecovered(e.Provider, e.ShortType(), o)
	c.APIObserver.Stored(e, o, by)
	return true, nil
}

// forget deletes the record of an event that was delivered, so that the same event is new. An
// event whose payload is still kept, such as a dead one, stays: a replay delivers it.
func (s recoverable) forget(ctx context.Context, id string) error {
	r, err := s.g.queue.Event(ctx, id)
	if errors.Is(err, queue.ErrNotFound) || err == nil && (r.State != queue.Delivered || r.HasPayload) {
		return nil
	}
	if err == nil {
		_, err = s.g.queue.Purge(ctx, queue.PurgeSelection{IDs: []string{id}})
	}
	return err
}

// HistoryRetention implements results.Store.
func (s recoverable) HistoryRetention() time.Duration {
	if c := s.g.Config(); c != nil {
		return c.Settings.HistoryRetention
	}
	return 0
}

// Recover recovers results from a provider's API, or deletes them there. The store of r is
// this gateway.
func (g *Gateway) Recover(ctx context.Context, r results.Recovery) (admin.Recovered, error) {
	c := g.Config()
	if c == nil {
		return admin.Recovered{}, ErrNotRunning
	}
	r.Store = recoverable{g}
	return results.Recover(ctx, c.APIs, r)
}

// Interface guards
var _ results.Store = recoverable{}
