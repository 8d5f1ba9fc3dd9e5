package gateway

import (
	"context"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"go.uber.org/zap"

	"github.com/scribegate/scribegate/caddymodule/internal/logging"
	"github.com/scribegate/scribegate/forwarder/queue"
)

// warnAbandoned logs a warning where events wait in a queue that a reload is about
// to close, since the new configuration opens another queue or none.
func (g *Gateway) warnAbandoned() {
	reload := caddy.ActiveContext().Context != nil && !caddy.Exiting()
	if !reload || g.Config() == nil { // nil: it was opened by a configuration that was rejected
		return
	}
	_, opened, _ := strings.Cut(g.key, ":")
	// The logger of the configuration that takes over: the others are closed.
	logger := logging.ProcessLogger().With(zap.String("queue", opened))
	switch count, err := g.waiting(); {
	case err != nil:
		logger.Warn("the configuration no longer opens a queue, and the number of events that wait in it is not known; they are kept, and are delivered once a configuration opens it again", zap.Error(err))
	case count.Integer > 0:
		logger.Warn("the configuration no longer opens a queue in which events wait; they are kept, and are delivered once a configuration opens it again", count)
	}
}

// waiting returns how many events wait for an upstream, or, if counting them takes too
// long, how many deliveries.
func (g *Gateway) waiting() (zap.Field, error) {
	stats, err := g.Stats()
	if err != nil {
		return zap.Skip(), err
	}
	deliveries, upstreams := 0, 0
	for _, u := range stats.Upstreams {
		if u.Pending > 0 {
			deliveries += int(u.Pending)
			upstreams++
		}
	}
	if upstreams < 2 {
		return zap.Int("events", deliveries), nil
	}
	// An event that waits for several upstreams counts once.
	events, err := inquire(g, g.countPending)
	if err != nil {
		return zap.Int("deliveries", deliveries), nil //nolint:nilerr // the deliveries are known
	}
	return zap.Int("events", events), nil
}

func (g *Gateway) countPending(ctx context.Context) (n int, err error) {
	for filter := (queue.Filter{State: queue.Pending, Limit: 1000}); ; {
		page, err := g.queue.Events(ctx, filter)
		if err != nil {
			return 0, err
		}
		n += len(page.Records)
		if page.Next == "" {
			return n, nil
		}
		filter.Cursor = page.Next
	}
}
