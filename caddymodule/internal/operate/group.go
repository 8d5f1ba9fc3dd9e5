package operate

import (
	"time"

	"go.uber.org/zap"

	"github.com/scribegate/scribegate/forwarder/queue"
)

// A Group is what is in a state, as it was shown: dead deliveries, or events that are set
// aside.
type Group struct {
	State queue.State // Dead, Quarantined, Unrouted or Unconfirmed
	Cause *Cause      // nil: any cause
	IDs   []string    // of the events; empty: all of them

	// Until is the newest Since of what was shown. What came into the state later is not in
	// the group, even if it was in the state before: a delivery that was replayed and died
	// again, for example.
	Until time.Time
}

// Has reports whether the group has a delivery of the event or, for nil, an event that is set
// aside. It does not compare the state and the IDs.
func (g Group) Has(r queue.Record, d *queue.DeliveryRecord) bool {
	return !Since(r, d).After(g.Until) && (g.Cause == nil || *g.Cause == CauseOf(r, d))
}

// Replay returns the replay of the group.
func (g Group) Replay() Replay {
	r := Replay{queue.ReplaySelection{State: g.State, IDs: g.IDs, Match: g.Has}, &g}
	if g.Cause != nil && g.Cause.Upstream != "" {
		r.Upstreams = []string{g.Cause.Upstream}
	}
	return r
}

// Purge returns the purge of the group.
func (g Group) Purge() Purge {
	return Purge{queue.PurgeSelection{State: g.State, IDs: g.IDs, Match: g.Has}, &g}
}

// about returns the fields that describe the Match of the group in the audit trail, without the
// upstream. A nil group has none.
func (g *Group) about() (fields []zap.Field) {
	if g == nil {
		return nil
	}
	text := func(name, value string) {
		if value != "" {
			fields = append(fields, zap.String(name, value))
		}
	}
	if c := g.Cause; c != nil {
		text("outcome", string(c.Outcome))
		if c.Status != 0 {
			fields = append(fields, zap.Int("status", c.Status))
		}
		text("reason", c.Reason)
		text("type", c.Type)
	}
	return append(fields, zap.String("until", g.Until.UTC().Format(time.RFC3339Nano)))
}
