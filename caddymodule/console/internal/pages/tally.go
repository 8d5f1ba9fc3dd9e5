package pages

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/scribegate/scribegate/caddymodule/internal/gateway"
	"github.com/scribegate/scribegate/forwarder/queue"
)

// tallyTime is how long a preview counts. It shows what it has counted by then.
var tallyTime = 50 * time.Millisecond

const (
	// tallied is the number of events that a preview reads at a time.
	tallied = 200

	// firstShown is the number of events that a preview shows.
	firstShown = 10
)

// A tally is what an action would do now.
type tally struct {
	AtLeast    bool // whether there is more than was counted
	Events     int
	Whole      int            // events of which a purge leaves nothing
	Waiting    int            // events that are purged although they still wait
	Deliveries int            // that a replay makes due
	Upstreams  map[string]int // deliveries
	NoPayload  int            // events that a replay skips, since their payload is not kept
	NoRoute    int            // events that a replay skips, since no upstream accepts them
	NoUpstream int            // deliveries that a replay skips, since their upstream is not configured
	Newest     time.Time
	Oldest     time.Time
	First      []queue.Record
}

// A tallier counts what a selection is about.
type tallier struct {
	tally
	selection
	gateway    *gateway.Gateway
	configured []string
}

// tallyOf returns what the selection would do now.
func tallyOf(ctx context.Context, g *gateway.Gateway, s selection) (tally, error) {
	t := &tallier{selection: s, gateway: g, tally: tally{Upstreams: make(map[string]int)}}
	if c := g.Config(); c != nil {
		t.configured = c.UpstreamNames()
	}
	count := t.all
	if len(s.IDs) > 0 {
		count = t.named
	}
	err := count(ctx)
	return t.tally, err
}

// named counts the events that are selected by their ids.
func (t *tallier) named(ctx context.Context) error {
	for _, id := range t.IDs {
		r, err := t.gateway.Queue().Event(ctx, id)
		if errors.Is(err, queue.ErrNotFound) && t.Group != nil {
			continue // it has gone since the list was made
		}
		if errors.Is(err, queue.ErrNotFound) {
			return failure{http.StatusNotFound, "There is no event with this id", "It was purged, or its time in the store is over. Nothing was changed."}
		}
		if err != nil {
			return err
		}
		if err := t.add(ctx, r); err != nil {
			return err
		}
	}
	return nil
}

// all counts the events of the group, newest first, as far as the time allows.
func (t *tallier) all(ctx context.Context) error {
	f := queue.Filter{State: t.Group.State, Limit: tallied}
	if t.Group.Cause != nil {
		f.Upstream = t.Group.Cause.Upstream
	}
	began := time.Now()
	for {
		page, err := t.gateway.Queue().Events(ctx, f)
		if err != nil {
			return err
		}
		for i, r := range page.Records {
			if err := t.add(ctx, r); err != nil {
				return err
			}
			if time.Since(began) > tallyTime && (i < len(page.Records)-1 || page.Next != "") {
				t.AtLeast = true
				return nil
			}
		}
		if page.Next == "" {
			return nil
		}
		f.Cursor = page.Next
	}
}

// add counts an event.
func (t *tallier) add(ctx context.Context, r queue.Record) error {
	var selected []*queue.DeliveryRecord // nil stands for an event that is set aside
	pending := false
	switch {
	case t.Group != nil:
		each(r, t.Group.State, "", func(d *queue.DeliveryRecord) {
			if t.Group.Has(r, d) {
				selected = append(selected, d)
			}
		})
	case r.State.SetAside():
		selected = append(selected, nil)
	default:
		for i := range r.Deliveries {
			if d := &r.Deliveries[i]; t.Upstream == "" || d.Upstream == t.Upstream {
				selected = append(selected, d)
				pending = pending || d.State == queue.Pending
			}
		}
	}
	if len(selected) == 0 && (t.Group != nil || t.Action == replay) {
		return nil
	}
	t.Events++
	if t.Action == purge {
		if r.State.SetAside() || len(selected) == len(r.Deliveries) {
			t.Whole++
		}
		if pending {
			t.Waiting++
		}
		for _, d := range selected {
			if d != nil {
				t.Upstreams[d.Upstream]++
			}
		}
	} else if err := t.replays(ctx, r, selected); err != nil {
		return err
	}
	if t.Newest.IsZero() || r.ReceivedAt.After(t.Newest) {
		t.Newest = r.ReceivedAt
	}
	if t.Oldest.IsZero() || r.ReceivedAt.Before(t.Oldest) {
		t.Oldest = r.ReceivedAt
	}
	if len(t.First) < firstShown {
		t.First = append(t.First, r)
	}
	return nil
}

// replays counts the deliveries that a replay of the event makes due.
func (t *tallier) replays(ctx context.Context, r queue.Record, selected []*queue.DeliveryRecord) error {
	if r.State == queue.Quarantined {
		return failure{http.StatusConflict, "A quarantined event cannot be replayed", quarantineHint}
	}
	if !r.HasPayload {
		t.NoPayload++
		return nil
	}
	if selected[0] == nil {
		names, err := t.route(ctx, r.ID)
		if err != nil {
			return err
		}
		if len(names) == 0 {
			t.NoRoute++
		}
		for _, name := range names {
			t.due(name)
		}
		return nil
	}
	for _, d := range selected {
		if !slices.Contains(t.configured, d.Upstream) {
			t.NoUpstream++
			continue
		}
		t.due(d.Upstream)
	}
	return nil
}

// due counts a delivery that a replay makes due.
func (t *tallier) due(upstream string) {
	t.Deliveries++
	t.Upstreams[upstream]++
}

// route returns the upstreams that an event that is set aside is delivered to as the handlers are
// configured now. It opens the payload, as the replay does.
func (t *tallier) route(ctx context.Context, id string) (names []string, err error) {
	e, err := t.gateway.Queue().Payload(ctx, id)
	if errors.Is(err, queue.ErrNotFound) || errors.Is(err, queue.ErrNoPayload) || errors.Is(err, queue.ErrUnreadable) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("reading an event: %w", err)
	}
	for _, name := range t.gateway.Route(e) {
		if slices.Contains(t.configured, name) && (t.Upstream == "" || name == t.Upstream) {
			names = append(names, name)
		}
	}
	return names, nil
}
