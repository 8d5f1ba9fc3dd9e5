package pages

import (
	"context"
	"time"

	"github.com/scribegate/scribegate/caddymodule/admin"
	"github.com/scribegate/scribegate/caddymodule/console/internal/shared"
	"github.com/scribegate/scribegate/caddymodule/internal/activity"
	"github.com/scribegate/scribegate/caddymodule/internal/gateway"
	"github.com/scribegate/scribegate/forwarder/queue"
)

// latestEvents is the number of events on the overview.
const latestEvents = 8

// A snapshot is the state of the gateway, as the overview and the navigation show it. All
// visitors share it, and it is not changed.
type snapshot struct {
	at     time.Time
	status admin.Status
	err    error // of the queue: its counts are not known
	ready  error // why events are refused

	latest []queue.Record

	hours    map[string]activity.Hour // of the upstreams
	rejected []activity.Rejection
}

// A view is what a cached value is about: a gateway with the configuration that it has.
type view struct {
	gateway *gateway.Gateway
	config  *gateway.Config
	what    string
}

// snapshots are those of the process: a hundred tabs cost what one does.
var snapshots = shared.Cache[view, *snapshot]{MaxAge: 2 * time.Second, Stale: 5 * time.Second, Size: 4}

// snapshot returns the state of the gateway.
func (p *Pages) snapshot(v *visit) *snapshot {
	g := v.gateway
	s, err := snapshots.Get(v.Context(), view{gateway: g, config: g.Config()}, func() *snapshot { return takeSnapshot(g) })
	if err != nil {
		return &snapshot{at: v.now, err: err, ready: err}
	}
	return s
}

// takeSnapshot asks the gateway.
func takeSnapshot(g *gateway.Gateway) *snapshot {
	s := &snapshot{at: time.Now(), hours: make(map[string]activity.Hour), rejected: activity.Process.Rejections()}
	s.status, s.err = g.Status(s.at)
	for _, u := range s.status.Upstreams {
		s.hours[u.Name] = activity.Process.Upstream(u.Name, s.at)
	}
	if s.ready = g.Ready(); s.err != nil || s.ready != nil {
		return s // the queue may hang
	}
	ctx, cancel := context.WithTimeout(context.Background(), queryTimeout)
	defer cancel()
	page, err := g.Queue().Events(ctx, queue.Filter{Limit: latestEvents})
	s.latest, s.err = page.Records, err
	return s
}

// dead returns the number of dead deliveries.
func (s *snapshot) dead() (n int64) {
	for _, u := range s.status.Upstreams {
		n += u.Dead
	}
	return n
}
